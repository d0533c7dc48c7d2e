// The emulated device finds what it claims to find: each test plants a fault in a small kernel.
#include "kernels/cuda/emulator/launch.h"

#include <gtest/gtest.h>

#include "kernels/cuda/words.cuh"

namespace tessera::kernels::cuda {
namespace {

std::string fault_of(const std::function<void()>& kernel) {
  const Status status = launch_emulated({2, 1, 1}, 64, 1024, kernel);
  return status ? "" : status.error().message;
}
void expect_fault(const std::string& text, const std::string& fault) {
  EXPECT_NE(fault.find(text), std::string::npos) << "found: " << fault;
}

class EmulatedLaunch : public ::testing::Test {
 protected:
  Address numbers(size_t n) {
    const Address address = memory_.allocate(n * 4);
    auto* data = reinterpret_cast<uint32_t*>(memory_.bytes_at(address, n * 4));
    for (size_t i = 0; i < n; ++i) data[i] = static_cast<uint32_t>(i * 7 + 1);
    return address;
  }
  DeviceMemory memory_;
};

// The neighbour's copy, read through shared memory; `waits` and `syncs` may be forgotten.
std::string copies(Address from, bool waits, bool syncs, std::vector<uint32_t>& seen) {
  seen.assign(64, 0);
  return fault_of([&, from] {
    copy_async16(shared_memory() + 16 * thread(), global<const uint8_t>(from) + 16 * thread());
    commit_copies();
    if (waits) wait_copies<0>();
    if (syncs) sync_block();
    const int other = (thread() + 1) % 64;
    seen[static_cast<size_t>(other)] = cast<const uint32_t>(shared_memory())[4 * other];
    if (!waits) wait_copies<0>();
  });
}

TEST_F(EmulatedLaunch, CopiesLandWhenTheyAreWaitedFor) {
  const Address from = numbers(256);
  std::vector<uint32_t> seen;
  EXPECT_EQ(copies(from, true, true, seen), "");
  for (uint32_t i = 0; i < 64; ++i) EXPECT_EQ(seen[i], 4 * i * 7 + 1);
  expect_fault("shared memory, which", copies(from, true, false, seen));
  expect_fault("no barrier between", copies(from, false, true, seen));  // it lands while a neighbour reads
  expect_fault("never waited for",
               fault_of([&] { copy_async16(shared_memory() + 16 * thread(), global<const uint8_t>(from)); }));
}

TEST_F(EmulatedLaunch, GroupsOfCopies) {
  const Address from = numbers(256);
  EXPECT_EQ(fault_of([&] {
              const auto mine = shared_memory() + 16 * (thread() % 32);
              if (warp() != 0) return;
              copy_async16(mine, global<const uint8_t>(from));
              commit_copies();
              wait_copies<1>();
              const uint32_t early = *cast<const uint32_t>(mine);
              wait_copies<0>();
              const uint32_t late = *cast<const uint32_t>(mine);
              EXPECT_EQ(early, 0xcdcdcdcdu);
              EXPECT_EQ(late, 1u);
            }),
            "");
}

TEST_F(EmulatedLaunch, CopiesOfZerosReadNothing) {
  const Address from = numbers(8);
  const auto first_word = [&](Address address, bool is_there, bool waits) {
    return fault_of([=] {
      const auto mine = shared_memory() + 16 * thread();
      copy_async16_or_zeros(mine, address, is_there);
      commit_copies();
      if (waits) wait_copies<0>();
      EXPECT_EQ(*cast<const uint32_t>(mine), !waits ? 0xcdcdcdcdu : is_there ? 1u : 0u);
      wait_copies<0>();
    });
  };
  EXPECT_EQ(first_word(from, true, true), "");
  EXPECT_EQ(first_word(4096, false, true), "");
  EXPECT_EQ(first_word(4096, false, false), "");
  expect_fault("outside every allocation", first_word(4096, true, true));
}

TEST_F(EmulatedLaunch, PlacesOutsideMemory) {
  const Address from = numbers(8);
  expect_fault("which has 32", fault_of([&] { global<uint32_t>(from)[8] = 1; }));
  expect_fault("outside every allocation", fault_of([] { global<uint32_t>(4096)[0] = 1; }));
  expect_fault("no multiple of 16", fault_of([&] { load_words4(global<const uint8_t>(from) + 4); }));
  expect_fault("which has 1024", fault_of([] { shared_memory()[1024] = 1; }));
  expect_fault("nobody wrote", fault_of([] { (void)static_cast<uint8_t>(shared_memory()[0]); }));
}

TEST_F(EmulatedLaunch, AtomicsRaceOnlyWithOrdinaryAccesses) {
  const Address from = numbers(8);
  const auto change = [&](bool clears, bool reads_early) {
    return fault_of([=] {
      const auto word = cast<uint32_t>(shared_memory());
      if (clears && thread() == 0) word[0] = 0;
      sync_block();
      atomic_add(word, 2);
      if (reads_early && thread() == 40) (void)static_cast<uint32_t>(word[0]);
      sync_block();
      EXPECT_EQ(static_cast<uint32_t>(word[0]), 128u);
      atomic_add(global<uint64_t>(from), 1);
    });
  };
  EXPECT_EQ(change(true, false), "");
  EXPECT_EQ(*reinterpret_cast<const uint64_t*>(memory_.bytes_at(from, 8)), (uint64_t{8} << 32 | 1) + 128);
  expect_fault("nobody wrote", change(false, false));
  expect_fault("with no barrier between", change(true, true));
  EXPECT_EQ(fault_of([] {
              const auto word = cast<uint32_t>(shared_memory());
              if (thread() == 0) word[0] = 100, word[1] = 0;
              sync_block();
              atomic_min(word, static_cast<uint32_t>(7 + thread()));
              atomic_or(word + 1, 1u << thread() % 32);
              sync_block();
              EXPECT_EQ(static_cast<uint32_t>(word[0]), 7u);
              EXPECT_EQ(static_cast<uint32_t>(word[1]), ~0u);
            }),
            "");
}

TEST_F(EmulatedLaunch, BarriersThatNotAllReach) {
  expect_fault("barrier", fault_of([] {
                 if (thread() < 40) sync_block();
               }));
  expect_fault("SIMD group", fault_of([] {
                 if (lane() != 3) shuffle_xor(1, 1);
               }));
}

// a b of the PTX fragments, written out and read back by their definition.
TEST_F(EmulatedLaunch, MatrixProduct) {
  std::vector<float> a(16 * 16), b(16 * 8);
  for (size_t i = 0; i < a.size(); ++i) a[i] = static_cast<float>(static_cast<int>(i * 37 % 23) - 11);
  for (size_t i = 0; i < b.size(); ++i) b[i] = static_cast<float>(static_cast<int>(i * 29 % 17) - 8);
  std::vector<float> out(16 * 8, -1);
  ASSERT_TRUE(launch_emulated({}, 32, 1024, [&] {
    const auto tile_a = shared_memory(), tile_b = shared_memory() + 512;  // (16, 16) and, by columns, (8, 16)
    for (int i = lane(); i < 256; i += 32) cast<uint16_t>(tile_a)[i] = f16_of(a[static_cast<size_t>(i)]);
    for (int i = lane(); i < 128; i += 32)
      cast<uint16_t>(tile_b)[i] = f16_of(b[static_cast<size_t>(i % 16 * 8 + i / 16)]);
    sync_block();
    const int matrix = lane() / 8, row = lane() % 8;
    uint32_t fa[4], fb[4], across[4];
    load_matrices(fa, tile_a + ((matrix % 2 * 8 + row) * 32 + matrix / 2 * 16));
    load_matrices(fb, tile_b + (row * 32 + matrix % 2 * 16));
    float d[4] = {};
    mma_f16(d, fa, fb[0], fb[1]);
    for (int i = 0; i < 4; ++i) out[static_cast<size_t>((lane() / 4 + i / 2 * 8) * 8 + lane() % 4 * 2 + i % 2)] = d[i];
    // Transposed, lane l has of matrix 0 the elements (2 (l % 4), l / 4) and the one below.
    load_matrices_transposed(across, tile_a + ((matrix % 2 * 8 + row) * 32 + matrix / 2 * 16));
    const auto expected = [&](int r) { return uint32_t{f16_of(a[static_cast<size_t>(r * 16 + lane() / 4)])}; };
    EXPECT_EQ(across[0], expected(lane() % 4 * 2 + 1) << 16 | expected(lane() % 4 * 2));
  }));
  for (size_t r = 0; r < 16; ++r)
    for (size_t c = 0; c < 8; ++c) {
      float sum = 0;
      for (size_t i = 0; i < 16; ++i) sum += a[r * 16 + i] * b[i * 8 + c];
      EXPECT_EQ(out[r * 8 + c], sum) << r << ", " << c;
    }
}

// The same with bytes: a lane has four of a row, and four 16 (in the product of 16: none) further on.
TEST_F(EmulatedLaunch, MatrixProductOfBytes) {
  struct Case {
    int depth;
    bool is_unsigned;
  };
  for (const Case& kind : {Case{32, false}, Case{32, true}, Case{16, false}}) {
    const int depth = kind.depth, least = kind.is_unsigned ? 0 : -127;
    const auto a = [least](int r, int i) { return (r * 37 + i * 11) % 255 + least; };
    const auto b = [](int i, int c) { return (c * 53 + i * 29) % 255 - 127; };
    std::vector<int32_t> out(16 * 8, -1);
    ASSERT_TRUE(launch_emulated({}, 32, 0, [&] {
      const int g = lane() / 4, p = 4 * (lane() % 4);
      const auto word = [&](const auto& byte) {
        uint32_t four = 0;
        for (int j = 0; j < 4; ++j) four |= (static_cast<uint32_t>(byte(j)) & 0xff) << 8 * j;
        return four;
      };
      const auto row = [&](int r, int first) { return word([&](int j) { return a(r, first + p + j); }); };
      const auto column = [&](int first) { return word([&](int j) { return b(first + p + j, g); }); };
      int32_t d[4] = {lane(), 0, -7, 0};
      if (kind.is_unsigned)
        mma_unsigned_32(d, row(g, 0), row(g + 8, 0), row(g, 16), row(g + 8, 16), column(0), column(16));
      else if (depth == 32)
        mma_int8_32(d, row(g, 0), row(g + 8, 0), row(g, 16), row(g + 8, 16), column(0), column(16));
      else
        mma_int8_16(d, row(g, 0), row(g + 8, 0), column(0));
      for (int i = 0; i < 4; ++i) out[static_cast<size_t>((g + i / 2 * 8) * 8 + lane() % 4 * 2 + i % 2)] = d[i];
    }));
    for (int r = 0; r < 16; ++r)
      for (int column = 0; column < 8; ++column) {
        int32_t sum = column % 2 ? 0 : r < 8 ? 4 * r + column / 2 : -7;  // what it is added to
        for (int i = 0; i < depth; ++i) sum += a(r, i) * b(i, column);
        EXPECT_EQ(out[static_cast<size_t>(r * 8 + column)], sum) << r << ", " << column << " of " << depth;
      }
  }
}

// One warp brings words, another waits for them; the first waits until the place is free again.
TEST_F(EmulatedLaunch, BarriersOfTheirOwnHandBytesOver) {
  constexpr int kRounds = 5, kWords = 64;
  const Address from = numbers(kRounds * kWords);
  const auto kernel = [&](bool waits) {
    return [from, waits] {
      const Barrier full(cast<uint64_t>(shared_memory())), empty(cast<uint64_t>(shared_memory() + 8));
      const auto place = shared_memory() + 16;
      if (thread() == 0) full.init(1), empty.init(1);
      sync_block();
      for (int round = 0; round < kRounds; ++round) {
        if (warp() == 1) {
          if (round > 0) empty.wait(round - 1);
          if (lane() == 0) full.copy_for_once(place, global<const uint8_t>(from) + round * kWords * 4, kWords * 4);
          sync_warp();
          if (lane() == 0) full.arrive();
        } else {
          if (waits) full.wait(round);
          for (int i = lane(); i < kWords; i += 32)
            EXPECT_EQ(cast<const uint32_t>(place)[i], static_cast<uint32_t>((round * kWords + i) * 7 + 1));
          sync_warp();
          if (lane() == 0) empty.arrive();
        }
      }
    };
  };
  EXPECT_EQ(fault_of(kernel(true)), "");
  expect_fault("which nobody wrote", fault_of(kernel(false)));
}
TEST_F(EmulatedLaunch, BarriersOfTheirOwnThatAreNeverComplete) {
  expect_fault("thread 0 of threadgroup (0, 0, 0) waits at a barrier that is never complete", fault_of([] {
                 const Barrier barrier(cast<uint64_t>(shared_memory()));
                 if (thread() == 0) barrier.init(2);
                 sync_block();
                 if (thread() == 40) barrier.arrive();
                 if (warp() == 0) barrier.wait(0);
               }));
}

}  // namespace
}  // namespace tessera::kernels::cuda
