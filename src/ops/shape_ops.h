// Operations that only rename or rearrange: same elements, another shape. reshape, expand_dims and squeeze share the
// bytes of x; so does broadcast_to when there is nothing to repeat.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ops/tensor.h"

namespace tessera::ops {

// Row-major; one size may be -1 and is inferred.
Result<Tensor> reshape(const Tensor& x, std::span<const int64_t> shape);
// A size-1 axis at `axis` of the result, in [-(rank + 1), rank].
Result<Tensor> expand_dims(const Tensor& x, int64_t axis);
// Drops the listed axes that have size 1 and ignores the others, out-of-range ones too; no list: every size-1 axis.
Result<Tensor> squeeze(const Tensor& x, std::span<const int32_t> dims);
// Axis i of the result is axis perm[i] of x.
Result<Tensor> transpose(const Tensor& x, std::span<const int32_t> perm);
Result<Tensor> broadcast_to(const Tensor& x, const Shape& shape);
// The same with sizes from a program: -1 keeps x's size on that axis, aligned from the right.
Result<Tensor> broadcast_to(const Tensor& x, std::span<const int64_t> shape);
// x in `dtype`, then at `shape`: how element-wise operations bring their operands together.
Result<Tensor> cast_and_broadcast(const Tensor& x, DType dtype, const Shape& shape);
// Reads the flattened x from `offset` with `strides`, both in elements. Every element must lie inside x.
Result<Tensor> as_strided(const Tensor& x, std::span<const int64_t> shape, std::span<const int64_t> strides,
                          uint64_t offset);

// NumPy's tile: x repeated reps[i] times along axis i, the shorter of the two padded with leading ones.
Result<Tensor> tile(const Tensor& x, std::span<const int64_t> reps);
// Each element `repeats` > 0 times in a row along `axis`.
Result<Tensor> repeat(const Tensor& x, int64_t repeats, int64_t axis);
// Cyclic shift by shifts[i] along axes[i], positive towards higher indices. No axes: x unchanged.
Result<Tensor> roll(const Tensor& x, std::span<const int64_t> shifts, std::span<const int32_t> axes);

}  // namespace tessera::ops
