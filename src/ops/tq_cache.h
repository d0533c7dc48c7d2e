// The three operations of a TQ4 cache (quant/tq4.h) as ExecuTorch's kernels have them: tq_norm, tq4_compress,
// tq_dequant. What lies between the first two, the division by the length and the rotation, are ordinary operations.
#pragma once

#include "ops/tensor.h"

namespace tessera::ops {

// x (..., D), f32, f16 or bf16 -> (..., 1) of the same dtype: Euclidean lengths, summed in double and rounded once.
Result<Tensor> tq_norm(const Tensor& x);

// values (..., D) of any float dtype, D even; boundaries (15), ascending -> u8 (..., D / 2): the number of boundaries
// below each value, that of the even one of a pair in the high nibble.
Result<Tensor> tq4_compress(const Tensor& values, const Tensor& boundaries);

// packed u8 (..., D / 2), norms (..., 1), centroids (16) -> (..., D) of `dtype`: centroids[code] * norm in f32, rounded
// once. Norms and centroids of any float dtype.
Result<Tensor> tq_dequant(const Tensor& packed, const Tensor& norms, const Tensor& centroids, DType dtype);

}  // namespace tessera::ops
