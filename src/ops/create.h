// Tensors made out of nothing. Sizes must be positive and the whole at most 4 GiB, but for filled() and zeros().
#pragma once

#include <cstdint>

#include "ops/tensor.h"

namespace tessera::ops {

// start, start + step, ...: ceil((stop - start) / step) values, at least one; not bool.
Result<Tensor> arange(int64_t start, int64_t stop, int64_t step, DType dtype);
// Every element `value`; no size guard beyond that of memory: shape may be that of another tensor.
Result<Tensor> filled(const Shape& shape, double value, DType dtype);
// The same with all bytes zero.
Result<Tensor> zeros(const Shape& shape, DType dtype);
// filled() behind the guard.
Result<Tensor> full(const Shape& shape, float value, DType dtype);
// (n, m): 1 where column <= row + k, else 0.
Result<Tensor> tri(int64_t n, int64_t m, int64_t k, DType dtype);
// x with everything above (tril) or below (triu) diagonal k of its last two axes set to zero.
Result<Tensor> tril(const Tensor& x, int64_t k);
Result<Tensor> triu(const Tensor& x, int64_t k);

// Uniform random integers of `width` 1, 2 or 4 bytes (u8, u16, u32): Threefry-2x32 with 20 rounds over a counter, keyed
// by the sign-extended seed. The bits are those the program format's own runtime gives.
Result<Tensor> random_bits(const Shape& shape, int width, int32_t seed);

}  // namespace tessera::ops
