// Convolution over one, two or three spatial axes, and its transpose, by one routine.
#pragma once

#include <cstdint>
#include <span>

#include "ops/tensor.h"

namespace tessera::ops {

// One entry per spatial axis.
struct ConvAxis {
  int64_t stride = 1, padding = 0, dilation = 1;
  int64_t output_padding = 0;  // transposed only: extra entries at the high end
};

// Cross-correlation. x (batch, spatial..., C), w (O, spatial..., C / groups), result (batch, spatial..., O). Symmetric
// zero padding. Float operands, promoted; sums in double.
Result<Tensor> conv(const Tensor& x, const Tensor& w, std::span<const ConvAxis> axes, int64_t groups);
// Its transpose (gradient with respect to the input) with w in the same layout (O, spatial..., C / groups):
// size (n - 1) stride - 2 padding + dilation (k - 1) + 1 + output_padding.
Result<Tensor> conv_transpose(const Tensor& x, const Tensor& w, std::span<const ConvAxis> axes, int64_t groups);

}  // namespace tessera::ops
