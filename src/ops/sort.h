// Sorting along one axis: ascending, NaN last, stable. A partition is a sort, which puts entry kth where it belongs.
#pragma once

#include <cstdint>

#include "ops/tensor.h"

namespace tessera::ops {

Result<Tensor> sort(const Tensor& x, int64_t axis);
Result<Tensor> argsort(const Tensor& x, int64_t axis);  // u32
// kth may be negative; out of range is an error.
Result<Tensor> partition(const Tensor& x, int64_t kth, int64_t axis);
Result<Tensor> arg_partition(const Tensor& x, int64_t kth, int64_t axis);  // u32

// The running sum along `axis`, from the end when `reverse`; not inclusive: shifted by one, starting at 0. Keeps the
// dtype (bool gives i32); formed in double or int64.
Result<Tensor> cumsum(const Tensor& x, int64_t axis, bool reverse, bool inclusive);

}  // namespace tessera::ops
