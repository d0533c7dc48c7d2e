// What this machine could do at best, measured: the denominators of every speed this project reports. Measure in the
// same run as the figure they judge; clocks and neighbours change from minute to minute.
#pragma once

#include <cstdint>

#include "base/thread_pool.h"
#include "kernels/cpu/isa.h"

namespace tessera::kernels::cpu {

// 10^9 bytes per second read from memory by all threads of the pool: the best of several passes and access patterns
// over a buffer far larger than the last cache (kLimitBufferBytes, allocated for the call).
double read_gb_s(ThreadPool& pool, Isa isa);
// 10^9 int8 operations per second (a multiply and an add are two) from registers; on AVX2, which sums products in
// words, with codes of 4 bits, the fastest.
double int8_gop_s(ThreadPool& pool, Isa isa);
// 10^9 f32 operations per second, fused multiply-adds from registers (two each).
double f32_gflop_s(ThreadPool& pool, Isa isa);

// Of 256 MB the third cache of a Zen 5 (32 MB) keeps so much that two threads read an eighth faster than memory is.
// Machines with less than eight times as much memory take an eighth of it.
inline constexpr int64_t kLimitBufferBytes = int64_t{1} << 30;

}  // namespace tessera::kernels::cpu
