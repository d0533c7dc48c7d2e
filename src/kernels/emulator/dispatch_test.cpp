// The emulator finds what it claims to find: each test plants a fault in a small kernel.
#include "kernels/emulator/dispatch.h"

#include <gtest/gtest.h>

#include <numeric>

#include "kernels/metal/emulator/simdgroup.h"

namespace tessera::kernels::emulator {
namespace {

using namespace metal;

constexpr Grid kOneGroup{{64, 1, 1}, {64, 1, 1}};

std::string fault_of(const Grid& grid, const std::function<void()>& kernel) {
  const Status status = dispatch(grid, all_groups(grid), kernel);
  return status ? "" : status.error().message;
}
void expect_fault(const std::string& text, const std::string& fault) {
  EXPECT_NE(fault.find(text), std::string::npos) << "found: " << fault;
}

int index_in_group() { return static_cast<int>(this_thread().thread_index_in_threadgroup); }
int lane() { return static_cast<int>(this_thread().thread_index_in_simdgroup); }

TEST(Dispatch, EveryThreadRunsOnceAndKnowsWhereItIs) {
  const Grid grid{{70, 3, 2}, {32, 2, 1}};  // the last threadgroup of an axis is smaller
  std::vector<int> calls(70 * 3 * 2);
  EXPECT_EQ(fault_of(grid,
                     [&] {
                       const ThreadIndices& me = this_thread();
                       const Index3 p = me.thread_position_in_grid;
                       ++calls[p.x + 70 * (p.y + 3 * p.z)];
                       EXPECT_EQ(p.x / 32, me.threadgroup_position_in_grid.x);
                       EXPECT_EQ(p.y / 2, me.threadgroup_position_in_grid.y);
                       EXPECT_EQ(me.thread_index_in_threadgroup % 32, me.thread_index_in_simdgroup);
                     }),
            "");
  EXPECT_EQ(calls, std::vector<int>(calls.size(), 1));
}

TEST(Dispatch, SumsAndShuffles) {
  EXPECT_EQ(fault_of(kOneGroup,
                     [] {
                       const int first = static_cast<int>(this_thread().simdgroup_index_in_threadgroup) * 32;
                       for (int round = 0; round < 5; ++round) {
                         EXPECT_EQ(simd_sum(static_cast<float>(first + lane() + round)),
                                   static_cast<float>(32 * (first + round) + 496));
                         EXPECT_EQ(simd_shuffle_xor(lane() * round, 5), (lane() ^ 5) * round);
                       }
                     }),
            "");
}

// A barrier of the SIMD group orders its own lanes and no others.
TEST(Dispatch, BarriersOfOneSimdGroup) {
  const auto neighbour_after = [](int distance) {
    return fault_of(kOneGroup, [distance] {
      const auto shared = threadgroup_array<int, 64>(0, "shared");
      shared[index_in_group()] = 0;
      threadgroup_barrier(mem_flags::mem_threadgroup);
      for (int round = 0; round < 2; ++round) {
        shared[index_in_group()] = index_in_group() + round;
        wait_for_simd_group(Site::current());
        const int other = shared[index_in_group() ^ distance];
        EXPECT_TRUE(distance >= 32 || other == (index_in_group() ^ distance) + round);
        wait_for_simd_group(Site::current());
      }
    });
  };
  EXPECT_EQ(neighbour_after(1), "");
  expect_fault("no barrier between", neighbour_after(63));
  expect_fault("no barrier between", fault_of(kOneGroup, [] {
                 const auto shared = threadgroup_array<int, 64>(0, "shared");
                 shared[index_in_group()] = 1;
                 wait_for_simd_group(Site::current());
                 const int other = shared[index_in_group() ^ 1];
                 shared[index_in_group()] = other;  // while the neighbour may still read
               }));
}

TEST(Dispatch, ThreadgroupMemoryAndBarriers) {
  std::vector<float> out(64);
  const Region region("out", out.data(), 64 * 4, Recording::kOutput);
  EXPECT_EQ(fault_of(kOneGroup,
                     [&] {
                       const auto shared = threadgroup_array<float, 64>(0, "shared");
                       for (int round = 1; round <= 3; ++round) {
                         shared[index_in_group()] = static_cast<float>(index_in_group() * round);
                         threadgroup_barrier(mem_flags::mem_threadgroup);
                         const float other = shared[63 - index_in_group()];
                         threadgroup_barrier(mem_flags::mem_threadgroup);
                         Pointer<Space::kDevice, float>(&region, 0)[index_in_group()] = other;
                       }
                     }),
            "");
  for (int i = 0; i < 64; ++i) EXPECT_EQ(out[static_cast<size_t>(i)], static_cast<float>(3 * (63 - i)));
}

// a b + c on 8 x 8 matrices out of threadgroup memory, one of them transposed.
TEST(Dispatch, MatrixProduct) {
  float a[64], b[64], c[64], out[64] = {};
  for (int i = 0; i < 64; ++i) a[i] = static_cast<float>(i % 13 - 6), b[i] = static_cast<float>(i % 7), c[i] = 1000;
  const Region in_a("a", a, sizeof(a)), in_b("b", b, sizeof(b)), in_c("c", c, sizeof(c));
  const Region to("out", out, sizeof(out), Recording::kOutput);
  EXPECT_EQ(fault_of({{32, 1, 1}, {32, 1, 1}},
                     [&] {
                       simdgroup_float8x8 ma, mb, mc;
                       simdgroup_load(ma, Pointer<Space::kDevice, const float>(&in_a, 0), 8);
                       simdgroup_load(mb, Pointer<Space::kDevice, const float>(&in_b, 0), 8, ulong2(0, 0), true);
                       simdgroup_load(mc, Pointer<Space::kDevice, const float>(&in_c, 0), 8);
                       simdgroup_multiply_accumulate(mc, ma, mb, mc);
                       simdgroup_store(mc, Pointer<Space::kDevice, float>(&to, 0), 8);
                     }),
            "");
  for (int i = 0; i < 8; ++i)
    for (int j = 0; j < 8; ++j) {
      float sum = 1000;
      for (int k = 0; k < 8; ++k) sum += a[8 * i + k] * b[8 * j + k];
      EXPECT_EQ(out[8 * i + j], sum) << i << ", " << j;
    }
}

TEST(Dispatch, FindsAccessesOutOfBounds) {
  float values[64] = {};
  const Region in("x", values, sizeof(values));
  const Pointer<Space::kDevice, const float> x(&in, 0);
  expect_fault("thread 63 of threadgroup (0, 0, 0) reads 4 bytes at offset 256 of x, which has 256",
               fault_of(kOneGroup, [&] { (void)x[index_in_group() + 1]; }));
  expect_fault("reads 4 bytes at offset -4 of x", fault_of(kOneGroup, [&] { (void)x[index_in_group() - 1]; }));
  expect_fault("writes 4 bytes at offset 128 of shared, which has 128",
               fault_of(kOneGroup, [&] { threadgroup_array<float, 32>(0, "shared")[index_in_group()] = 1; }));
  expect_fault("reads 4 bytes at offset 2 of x, whose address is no multiple of 4", fault_of(kOneGroup, [&] {
                 (void)*(Pointer<Space::kDevice, const float>)(Pointer<Space::kDevice, const ushort>(x) + 1);
               }));
  EXPECT_EQ(fault_of(kOneGroup, [&] { (void)(x + 1000); }), "");  // a pointer may point anywhere
}

TEST(Dispatch, FindsReadsOfWhatNobodyWrote) {
  expect_fault("reads byte 128 of shared, which nobody wrote", fault_of(kOneGroup, [] {
                 const auto shared = threadgroup_array<float, 64>(0, "shared");
                 if (index_in_group() < 32) shared[index_in_group()] = 1;
                 threadgroup_barrier(mem_flags::mem_threadgroup);
                 (void)static_cast<float>(shared[index_in_group()]);
               }));
  // What an earlier threadgroup wrote does not count.
  expect_fault("threadgroup (1, 0, 0) reads byte 0 of shared, which nobody wrote",
               fault_of({{64, 1, 1}, {32, 1, 1}}, [] {
                 const auto shared = threadgroup_array<float, 1>(0, "shared");
                 const bool is_first = this_thread().threadgroup_position_in_grid.x == 0;
                 if (lane() == 0 && is_first) shared[0] = 1;
                 if (lane() == 0) (void)static_cast<float>(shared[0]);
               }));
}

TEST(Dispatch, FindsRaces) {
  expect_fault("writes byte 0 of shared, which thread 0 wrote with no barrier between",
               fault_of(kOneGroup, [] { threadgroup_array<int, 1>(0, "shared")[0] = 1; }));
  expect_fault("thread 1 of threadgroup (0, 0, 0) reads byte 0 of shared, which thread 0 wrote with no barrier between",
               fault_of(kOneGroup, [] {
                 const auto shared = threadgroup_array<int, 64>(0, "shared");
                 shared[index_in_group()] = 1;
                 (void)static_cast<int>(shared[std::max(0, index_in_group() - 1)]);
               }));
  // Everybody reads, then one writes without waiting: a missing second barrier.
  expect_fault("writes byte 0 of shared, which other threads read with no barrier between", fault_of(kOneGroup, [] {
                 const auto shared = threadgroup_array<int, 1>(0, "shared");
                 if (index_in_group() == 0) shared[0] = 1;
                 threadgroup_barrier(mem_flags::mem_threadgroup);
                 (void)static_cast<int>(shared[0]);
                 if (index_in_group() == 63) shared[0] = 2;
               }));
  int out[1] = {};
  const Region region("out", out, sizeof(out), Recording::kOutput);
  expect_fault("writes byte 0 of out, which thread 0 wrote with no barrier between",
               fault_of({{2, 1, 1}, {1, 1, 1}}, [&] { Pointer<Space::kDevice, int>(&region, 0)[0] = 1; }));
}

TEST(Dispatch, FindsDivergence) {
  expect_fault("thread 17 of threadgroup (0, 0, 0) does not come to", fault_of(kOneGroup, [] {
                 if (index_in_group() != 17) simd_sum(1);
               }));
  expect_fault("does not come to the barrier at", fault_of(kOneGroup, [] {
                 if (index_in_group() < 32) threadgroup_barrier(mem_flags::mem_threadgroup);
               }));
  expect_fault("does not come to the barrier at", fault_of(kOneGroup, [] {
                 if (index_in_group() < 32)
                   threadgroup_barrier(mem_flags::mem_threadgroup);
                 else
                   threadgroup_barrier(mem_flags::mem_threadgroup);
               }));
  expect_fault("thread 1 of threadgroup (0, 0, 0) does not come to", fault_of(kOneGroup, [] {
                 if (lane() == 0)
                   simd_sum(1);
                 else
                   simd_sum(1);
               }));
  float values[64] = {};
  const Region in("x", values, sizeof(values));
  expect_fault("by other SIMD group operations than thread 0", fault_of(kOneGroup, [&] {
                 simdgroup_float8x8 m = make_filled_simdgroup_matrix<float, 8, 8>(0);
                 if (lane() < 16) simdgroup_load(m, Pointer<Space::kDevice, const float>(&in, 0), 8);
                 simd_sum(m.elements[0]);
               }));
}

TEST(Dispatch, SomeThreadgroups) {
  std::vector<uint32_t> seen;
  ASSERT_TRUE(dispatch({{8, 8, 1}, {1, 1, 1}}, {{3, 1}, {0, 7}}, [&] {
                const Index3 p = this_thread().thread_position_in_grid;
                seen.insert(seen.end(), {p.x, p.y});
              }).has_value());
  EXPECT_EQ(seen, (std::vector<uint32_t>{3, 1, 0, 7}));
}

}  // namespace
}  // namespace tessera::kernels::emulator
