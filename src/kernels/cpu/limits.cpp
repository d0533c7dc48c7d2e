#include "kernels/cpu/limits.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "kernels/cpu/limits_kernels.h"

namespace tessera::kernels::cpu {
namespace {

double now_s() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// Work per second of f(), the best of `passes`.
template <typename F>
double best_rate(int passes, double work, F f) {
  double best = 0;
  for (int pass = 0; pass < passes; ++pass) {
    const double start = now_s();
    f();
    best = std::max(best, work / (now_s() - start));
  }
  return best;
}

}  // namespace

ReadLimit::ReadLimit(ThreadPool& pool, Isa isa) : pool_(pool), kernels_(limit_kernels(isa)) {
  const int64_t memory = int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE);
  n_pieces_ = std::max<int64_t>(1, std::min(kLimitBufferBytes, memory / 8) / kPieceBytes);
  buffer_ = allocate_huge(static_cast<size_t>(buffer_bytes()));
  CHECK(buffer_ != nullptr);
  pool.parallel_for(n_pieces_, 1, [&](int64_t piece, int64_t) {
    std::memset(buffer_.get() + piece * kPieceBytes, static_cast<int>(piece + 1), static_cast<size_t>(kPieceBytes));
  });
}

double ReadLimit::gb_s(int passes) {
  // Which pattern is fastest depends on the processor: a Xeon's cores have more buffers for lines that are asked for
  // into the second cache than for loads.
  struct Pattern {
    int n_streams;
    int64_t ahead;
  };
  double best = 0;
  for (const Pattern p : {Pattern{1, 0}, {2, 0}, {4, 0}, {8, 0}, {1, 4096}, {4, 4096}}) {
    // Dealt out, as the kernels' work is: cores of virtual machines differ.
    const auto read = [&] {
      pool_.parallel_for(n_pieces_, 1, [&](int64_t piece, int64_t) {
        kernels_.read(buffer_.get() + piece * kPieceBytes, kPieceBytes, p.n_streams, p.ahead);
      });
    };
    best = std::max(best, best_rate(passes, static_cast<double>(buffer_bytes()), read));
  }
  return best / 1e9;
}

double int8_gop_s(ThreadPool& pool, Isa isa) {
  constexpr int64_t kRounds = 200'000;
  const LimitKernels& kernels = limit_kernels(isa);
  const double work = static_cast<double>(kRounds * kernels.ops_per_dot_round * pool.size());
  return best_rate(8, work, [&] { pool.run([&](int) { kernels.dots(kRounds); }); }) / 1e9;
}

double f32_gflop_s(ThreadPool& pool, Isa isa) {
  constexpr int64_t kRounds = 200'000;
  const LimitKernels& kernels = limit_kernels(isa);
  const double work = static_cast<double>(kRounds * kernels.ops_per_fma_round * pool.size());
  return best_rate(8, work, [&] { pool.run([&](int) { kernels.fmas(kRounds); }); }) / 1e9;
}

// Plain loops, which the compiler may turn into whatever the base instruction set has.
namespace scalar {
namespace {

void read(const std::byte* bytes, int64_t n_bytes, int, int64_t) {
  uint64_t sum = 0;
  for (int64_t i = 0; i < n_bytes; i += 8) {
    uint64_t word;
    std::memcpy(&word, bytes + i, 8);
    sum |= word;
  }
  asm volatile("" : : "r"(sum));
}

void dots(int64_t n) {
  int32_t acc[16] = {};
  for (int64_t i = 0; i < n; ++i) {
    int8_t a = 3, b = 5;
    asm volatile("" : "+r"(a), "+r"(b));
    for (int32_t& sum : acc) sum += a * b;
  }
  for (int32_t sum : acc) asm volatile("" : : "r"(sum));
}

void fmas(int64_t n) {
  float acc[16] = {};
  for (int64_t i = 0; i < n; ++i) {
    float a = 0.5f, b = 0.25f;
    asm volatile("" : "+m"(a), "+m"(b));
    for (float& sum : acc) sum += a * b;
  }
  for (float& sum : acc) asm volatile("" : "+m"(sum));
}

}  // namespace

extern const LimitKernels kLimitKernels;
constinit const LimitKernels kLimitKernels = {
    .read = read, .dots = dots, .fmas = fmas, .ops_per_dot_round = 32, .ops_per_fma_round = 32};

}  // namespace scalar
}  // namespace tessera::kernels::cpu
