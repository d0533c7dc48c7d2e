// The one routine that moves elements between layouts. Transposes, slices, concatenation, padding, broadcasting and
// their like are a shape, two sets of strides and a call of copy_strided.
#pragma once

#include <array>
#include <cstdint>

#include "base/shape.h"
#include "ops/tensor.h"

namespace tessera::ops {

using Strides = std::array<int64_t, Shape::kMaxRank>;  // in elements; may be zero or negative

Strides row_major(const Shape& shape);
// Strides that read `from` as if it had shape `to`: 0 on axes that are repeated. `from` must broadcast to `to`.
Strides broadcast_strides(const Shape& from, const Shape& to);

// One side of a copy: where the first element lies and how far the next one is on each axis.
struct Layout {
  std::byte* data = nullptr;
  Strides strides{};
};
inline Layout layout_of(const Tensor& x) { return {x.data, row_major(x.shape)}; }
// The same layout starting `elements` later.
inline Layout advance(Layout layout, int64_t elements, DType dtype) {
  layout.data += elements * static_cast<int64_t>(size_of(dtype));
  return layout;
}

// to[i] = from[i] for every index of `shape`. The two must not overlap.
void copy_strided(DType dtype, const Shape& shape, const Layout& from, const Layout& to);
// A new tensor of `shape` read from `from`.
Result<Tensor> gather_strided(DType dtype, const Shape& shape, const Layout& from);

// x with `axis` moved to the end, and back: for operations that work on rows along one axis.
Result<Tensor> move_axis_last(const Tensor& x, int axis);
Result<Tensor> move_last_to(const Tensor& x, int axis);

}  // namespace tessera::ops
