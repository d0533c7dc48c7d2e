// The kernels of the compressed key-value cache (kernels/metal/tq4.metal), run by the emulator on tensors in host
// memory, and their trials against the scalar references of ops/tq_cache.
#pragma once

#include <random>
#include <vector>

#include "base/result.h"
#include "kernels/emulator/dispatch.h"
#include "kernels/metal/emulator/trial.h"
#include "kernels/metal/source.h"
#include "ops/tensor.h"

namespace tessera::kernels::emulator {

using TqOp = kernels::metal::TqOp;

// An instruction's operands and grid.
struct TqLaunch {
  TqOp op = TqOp::kNorm;
  std::vector<ops::Tensor> inputs;  // x; values, boundaries; packed, norms, centroids
  ops::Tensor out;                  // written in place
  Grid grid;
};

// For `vectors` vectors of `dim` values: the contract of ExecuTorch's kernels.
Grid tq_grid(TqOp op, int64_t vectors, int64_t dim);

// Errors: kInvalidArgument for operands that do not fit together or a dim the kernels cannot take, kNotImplemented for
// dtypes none was compiled for, kInternal for what the emulator found.
Status run(const TqLaunch& launch, const std::vector<GroupPosition>& groups);

// Random operands of given sizes; every output, with the error its arithmetic allows.
struct TqTrial {
  TqOp op = TqOp::kNorm;
  DType dtype = DType::kBF16;  // of x, values and dequantized vectors
  DType norms = DType::kBF16, boundaries = DType::kBF16, centroids = DType::kF32;
  int64_t vectors = 1, dim = 64;
};
Result<std::vector<Sample>> run_trial(const TqTrial& trial, std::mt19937_64& rng);

}  // namespace tessera::kernels::emulator
