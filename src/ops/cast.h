// AsType, and tensors to and from plain vectors.
#pragma once

#include <vector>

#include "ops/tensor.h"

namespace tessera::ops {

// x in another dtype; x itself (sharing its bytes) when it has that dtype already. Conversions as ops/elements.h says:
// float to integer truncates, anything to bool is "not zero".
Result<Tensor> cast(const Tensor& x, DType dtype);
// A copy with memory of its own.
Result<Tensor> clone(const Tensor& x);

std::vector<double> to_doubles(const Tensor& x);
std::vector<int64_t> to_int64s(const Tensor& x);  // not for float tensors
Result<Tensor> from_doubles(const std::vector<double>& values, const Shape& shape, DType dtype);

}  // namespace tessera::ops
