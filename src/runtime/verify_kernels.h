// Does the Metal text a program carries compute what the native kernels compute? Each distinct fused kernel is run by
// the emulator on random operands of its true sizes and compared (kernels/metal/emulator/trial.h). The emulator knows
// the texts of this build only: a program with others is told so.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "program/kernel_info.h"
#include "program/program.h"

namespace tessera::runtime {

struct KernelVerdict {
  program::KernelInfo kernel;
  int64_t rows = 0;           // of x, or ids, that were tried
  size_t n_values = 0;        // outputs compared
  double largest_error = 0;   // absolute
  double error_of_bound = 0;  // relative to what the arithmetic allows; above 1 is a mismatch
  std::string problem;        // why the kernel could not be run or is wrong; empty: it is right
};

// `program` must be verified (program/program.h).
std::vector<KernelVerdict> verify_kernels(const program::Program& program, ThreadPool& pool, std::mt19937_64& rng);

}  // namespace tessera::runtime
