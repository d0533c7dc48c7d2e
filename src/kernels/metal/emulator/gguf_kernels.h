// The fused kernels of kernels/metal, run by the emulator on tensors in host memory: the text that programs carry,
// compiled for this machine by way of translate_metal.
#pragma once

#include <optional>
#include <vector>

#include "base/result.h"
#include "kernels/emulator/dispatch.h"
#include "kernels/metal/source.h"
#include "ops/tensor.h"

namespace tessera::kernels::emulator {

using Kernel = kernels::metal::Kernel;  // emulator::metal is the namespace kernels see

// SIMD groups of a mat-vec's threadgroup, the template argument NSG: the only value the contract knows.
inline constexpr int kNSG = 2;

// An instruction's operands and grid. Tensors are row-major and may begin at any address the GPU takes.
struct Launch {
  Kernel kernel;
  ops::Tensor input;                // of a linear x (..., K), f32, f16 or bf16; of an embedding ids, i32 or i64
  ops::Tensor weight;               // u8 (N, row bytes)
  std::optional<ops::Tensor> bias;  // (N), any of the three floats; present if kernel.has_bias
  ops::Tensor out;                  // written in place
  Grid grid;
};

// Rows of the weight that a threadgroup of a linear computes: NSG R of a mat-vec, a tile's of a mat-mat.
int64_t weight_rows_per_group(const Kernel& kernel);

// The grid the contract prescribes for `kernel` (executorch-pte, "Fused kernels"): `rows` of x or ids, n and k of the
// weight.
Grid grid_of(const Kernel& kernel, int64_t rows, int64_t n, int64_t k);

// Runs the given threadgroups, all_groups(launch.grid) for the whole. Errors: kNotImplemented for dtypes no kernel was
// compiled for, kInvalidArgument for operands that do not fit together, kInternal for what the emulator found.
Status run(const Launch& launch, const std::vector<GroupPosition>& groups);

}  // namespace tessera::kernels::emulator
