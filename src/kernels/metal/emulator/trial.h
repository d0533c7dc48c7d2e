// One fused kernel against the native ones of kernels/cpu: random operands of given sizes, the Metal text run by the
// emulator, outputs compared with what the CPU computes in f32. Of a large weight a sample of threadgroups is run, at
// the true strides and offsets: the first, the last, and random ones between.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "base/dtype.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "kernels/metal/emulator/gguf_kernels.h"

namespace tessera::kernels::emulator {

struct Trial {
  Kernel kernel;
  DType in = DType::kBF16;  // of x; of ids: i32 or i64
  DType out = DType::kBF16;
  DType bias = DType::kBF16;
  int64_t rows = 1;  // of x, or ids
  int64_t n = 0, k = 0;
  int64_t max_row_groups = 8;  // of a linear: threadgroups along the rows of the weight
  // Of a linear, every fourth row of x past the range of half; not if x or the result is half.
  bool has_large_rows = false;
};

// One output. The bound follows from the arithmetic of the contract: f32 sums in mat-vec, operands rounded to half in
// mat-mat, one rounding to the output's dtype.
struct Sample {
  double got = 0, expected = 0, bound = 0;
};

// All outputs of the threadgroups that ran. An error is what the emulator found, or an output that was not written, or
// one written that belongs to another threadgroup.
Result<std::vector<Sample>> run_trial(const Trial& trial, ThreadPool& pool, std::mt19937_64& rng);

// Largest |got - expected|, and that relative to its bound: above 1 the kernel is wrong.
struct TrialErrors {
  double largest = 0, of_bound = 0;
};
TrialErrors errors_of(const std::vector<Sample>& samples);

}  // namespace tessera::kernels::emulator
