// RMSNorm and LayerNorm over the last axis. Statistics in double; the normalized value is rounded to the result dtype,
// then weight and bias act in that dtype (a fused kernel may keep f32 throughout).
#pragma once

#include "ops/tensor.h"

namespace tessera::ops {

// x * rsqrt(mean(x^2) + eps), times weight (last size of x; no "+ 1"). Result dtype: x's promoted with the weight's.
Result<Tensor> rms_norm(const Tensor& x, const Tensor* weight, float eps);
// (x - mean) * rsqrt(variance + eps) with the biased variance, times weight, plus bias.
Result<Tensor> layer_norm(const Tensor& x, const Tensor* weight, const Tensor* bias, float eps);

}  // namespace tessera::ops
