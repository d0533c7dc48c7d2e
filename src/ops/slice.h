// Slicing on one axis, and writing into a slice.
#pragma once

#include <cstdint>

#include "ops/tensor.h"

namespace tessera::ops {

// The entries begin, begin + step, ... of one axis: what a NumPy slice start:stop:step selects.
struct SliceRange {
  int64_t begin = 0, step = 1, count = 0;
};

// NumPy's rule: negative start and stop add the size, then both are clamped to the axis; step may be negative, not 0.
Result<SliceRange> resolve_slice(int64_t start, int64_t stop, int64_t step, int64_t size);

// x[..., start:stop:step, ...] on `axis`. A slice of everything shares x's bytes.
Result<Tensor> slice(const Tensor& x, int64_t axis, int64_t start, int64_t stop, int64_t step);

// dst[..., start:stop:step, ...] = update, in the bytes of dst. `update` is cast to dst's dtype and broadcast to the
// slice; start and stop clamp to the axis, so an update that reaches past the end does not fit and is an error; so is
// one that lies past the end altogether (where a single entry would broadcast to nothing).
// start == stop changes nothing, whatever the update's shape. step >= 1.
Status slice_update(Tensor& dst, const Tensor& update, int64_t axis, int64_t start, int64_t stop, int64_t step);

}  // namespace tessera::ops
