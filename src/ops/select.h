// Where and Clip: choosing between values element by element.
#pragma once

#include "ops/tensor.h"

namespace tessera::ops {

// x where condition is not zero, else y; the three broadcast, x and y are promoted.
Result<Tensor> where(const Tensor& condition, const Tensor& x, const Tensor& y);
// The larger of x and low, then the smaller of that and high, promoted and broadcast; at least one bound.
Result<Tensor> clip(const Tensor& x, const Tensor* low, const Tensor* high);

}  // namespace tessera::ops
