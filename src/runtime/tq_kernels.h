// The kernels of a compressed key-value cache (ops/tq_cache) as MetalKernel instructions call them. Names, operands and
// template arguments are those of ExecuTorch's kernels, whose programs run here too.
#pragma once

#include <optional>
#include <string_view>

#include "kernels/metal/source.h"
#include "runtime/custom_kernels.h"

namespace tessera::runtime {

// "tq_norm", "tq4_compress", "tq_dequant"; nullopt for any other name.
std::optional<kernels::metal::TqOp> parse_tq_kernel(std::string_view name);

// Adds the three, on the scalar references of ops. Errors of a call: operands that do not agree with each other or with
// the template arguments InT, and D or B.
void add_tq_kernels(CustomKernels& kernels);

}  // namespace tessera::runtime
