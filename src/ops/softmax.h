// Softmax along one axis.
#pragma once

#include <cstdint>
#include <span>

#include "ops/tensor.h"

namespace tessera::ops {

// exp(x - max) / sum along `axis`, computed in double and rounded once; x's dtype when it is a float, else f32. The
// wire's `precise` flag asks for f32 sums, which this always exceeds. A row of -inf gives NaN.
Result<Tensor> softmax(const Tensor& x, int64_t axis);
// The same of one row, in place.
void softmax_row(std::span<double> row);

}  // namespace tessera::ops
