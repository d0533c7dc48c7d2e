// What this machine could do at best, measured: the denominators of every speed this project reports. Measure in the
// same run as the figure they judge; clocks and neighbours change from minute to minute.
#pragma once

#include <cstdint>

#include "base/huge_pages.h"
#include "base/thread_pool.h"
#include "kernels/cpu/isa.h"

namespace tessera::kernels::cpu {

struct LimitKernels;

// How fast memory is read by all threads of a pool, over a buffer far larger than the last cache.
class ReadLimit {
 public:
  ReadLimit(ThreadPool& pool, Isa isa);
  // 10^9 bytes per second now: the best of several access patterns, each `passes` times.
  double gb_s(int passes = 1);
  int64_t buffer_bytes() const { return n_pieces_ * kPieceBytes; }

 private:
  static constexpr int64_t kPieceBytes = int64_t{8} << 20;

  ThreadPool& pool_;
  const LimitKernels& kernels_;
  int64_t n_pieces_;
  HugeBytes buffer_;
};

// 10^9 int8 operations per second (a multiply and an add are two) from registers; on AVX2, which sums products in
// words, with codes of 4 bits, the fastest.
double int8_gop_s(ThreadPool& pool, Isa isa);
// 10^9 f32 operations per second, fused multiply-adds from registers (two each).
double f32_gflop_s(ThreadPool& pool, Isa isa);

// Of 256 MB the third cache of a Zen 5 (32 MB) keeps so much that two threads read an eighth faster than memory is.
// Machines with less than eight times as much memory take an eighth of it.
inline constexpr int64_t kLimitBufferBytes = int64_t{1} << 30;

}  // namespace tessera::kernels::cpu
