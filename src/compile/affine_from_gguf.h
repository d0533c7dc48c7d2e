// GGUF blocks as affine groups: the codes stay what they are, scales and offsets are those of the blocks, rounded to
// the activations' type. Nothing is kept in memory: each constant is made from the blocks, some rows at a time, when
// the program is written.
//
// Where ExecuTorch's exporter rounds a zero point and computes the bias from it (two roundings, and 0 for groups whose
// scale is 0), the bias here is the block's own offset, rounded once.
#pragma once

#include <optional>

#include "base/shape.h"
#include "compile/affine_kernels.h"
#include "graph/graph.h"

namespace tessera::compile {

// The weight (N, K) as affine groups of 32 to 128 values; nothing when its format has no such groups, or only smaller
// ones (Q6_K has 16, and rarely two alike). Reads as much of the weight as it takes to see which groups are alike.
std::optional<AffineData> affine_from_gguf(const graph::Weight& weight, const Shape& shape, DType dtype);

// The weight's values in bf16, as they are dequantized.
program::Data dequantized_bf16(const graph::Weight& weight, const Shape& shape);

}  // namespace tessera::compile
