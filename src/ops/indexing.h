// Reading and writing at computed positions. Index tensors hold integers of any width; negative ones count from the
// end, one that is out of range is an error.
#pragma once

#include <cstdint>
#include <span>

#include "ops/tensor.h"

namespace tessera::ops {

// One entry of `axis`, which disappears.
Result<Tensor> take(const Tensor& x, int64_t index, int64_t axis);
// Entries of `axis`, which is replaced by the sizes of `indices`.
Result<Tensor> take(const Tensor& x, const Tensor& indices, int64_t axis);
// out[.., i, ..] = x[.., indices[.., i, ..], ..]: ranks equal, axes other than `axis` broadcast.
Result<Tensor> take_along_axis(const Tensor& x, const Tensor& indices, int64_t axis);
// A block of `slice_sizes` from x at every index: indices[k] gives its start on axes[k], 0 elsewhere. Shape: the
// broadcast shape of the indices, then slice_sizes. A block that would cross the end is an error.
Result<Tensor> gather(const Tensor& x, std::span<const Tensor> indices, std::span<const int32_t> axes,
                      std::span<const int32_t> slice_sizes);
// x plus updates[.., i, ..] at x[.., indices[.., i, ..], ..]; shapes as in take_along_axis, updates cast to x's dtype.
// Sums are formed in double or int64 and rounded once.
Result<Tensor> scatter_add(const Tensor& x, const Tensor& indices, const Tensor& updates, int64_t axis);
// dst[.., indices[i], ..] = update[.., i, ..] in the bytes of dst, later duplicates winning. indices: i64, rank 1.
Status index_copy(Tensor& dst, const Tensor& update, const Tensor& indices, int64_t axis);

}  // namespace tessera::ops
