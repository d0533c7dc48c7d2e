// Concatenation, stacking, splitting and padding.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ops/tensor.h"

namespace tessera::ops {

// Joined along `axis`, dtypes promoted; all other sizes equal.
Result<Tensor> concatenate(std::span<const Tensor> tensors, int64_t axis);
// Joined along a new axis; all shapes equal.
Result<Tensor> stack(std::span<const Tensor> tensors, int64_t axis);
// One size: chunks of that many entries, the last maybe shorter. Several: the first parts take what is listed, the last
// the rest. The number of parts must be `n_outputs`.
Result<std::vector<Tensor>> split(const Tensor& x, std::span<const int64_t> sizes, int64_t axis, size_t n_outputs);

enum class PadMode { kConstant, kEdge };
// pad_width: low and high of axis 0, low and high of axis 1, ...; none negative.
Result<Tensor> pad(const Tensor& x, std::span<const int64_t> pad_width, PadMode mode, float value);

}  // namespace tessera::ops
