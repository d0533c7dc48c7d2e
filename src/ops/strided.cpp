#include "ops/strided.h"

#include <cstring>

#include "base/check.h"

namespace tessera::ops {
namespace {

// Drops size-1 axes and joins neighbours that are contiguous on both sides, so that the inner loop is long.
struct Walk {
  Shape shape;
  Strides from{}, to{};
};

Walk simplify(const Shape& shape, const Strides& from, const Strides& to) {
  Walk out;
  for (int i = 0; i < shape.rank(); ++i) {
    if (shape[i] == 1) continue;
    const int last = out.shape.rank() - 1;
    const auto axis = static_cast<size_t>(i), before = static_cast<size_t>(last);
    if (last >= 0 && out.from[before] == from[axis] * shape[i] && out.to[before] == to[axis] * shape[i]) {
      out.shape[last] *= shape[i];
      out.from[before] = from[axis];
      out.to[before] = to[axis];
    } else {
      const auto next = static_cast<size_t>(last + 1);
      out.from[next] = from[axis];
      out.to[next] = to[axis];
      out.shape.push_back(shape[i]);
    }
  }
  return out;
}

template <typename T>
void copy_row(int64_t n, const T* from, int64_t from_step, T* to, int64_t to_step) {
  if (from_step == 1 && to_step == 1) {
    std::memcpy(to, from, static_cast<size_t>(n) * sizeof(T));
    return;
  }
  for (int64_t i = 0; i < n; ++i) to[i * to_step] = from[i * from_step];
}

template <typename T>
void copy_axis(const Walk& walk, int axis, const T* from, T* to) {
  const auto a = static_cast<size_t>(axis);
  const int64_t n = walk.shape[axis];
  if (axis == walk.shape.rank() - 1) return copy_row(n, from, walk.from[a], to, walk.to[a]);
  for (int64_t i = 0; i < n; ++i) copy_axis(walk, axis + 1, from + i * walk.from[a], to + i * walk.to[a]);
}

template <typename T>
void copy_typed(const Walk& walk, const std::byte* from, std::byte* to) {
  copy_axis(walk, 0, reinterpret_cast<const T*>(from), reinterpret_cast<T*>(to));
}

Result<Tensor> permuted(const Tensor& x, int from, int to) {
  if (from == to) return x;
  Shape shape;
  Strides strides{};
  const Strides own = row_major(x.shape);
  std::array<int, Shape::kMaxRank> order{};
  int n = 0;
  for (int i = 0; i < x.shape.rank(); ++i)
    if (i != from) order[static_cast<size_t>(n++)] = i;
  for (int i = n; i > to; --i) order[static_cast<size_t>(i)] = order[static_cast<size_t>(i - 1)];
  order[static_cast<size_t>(to)] = from;
  for (int i = 0; i < x.shape.rank(); ++i) {
    const int source = order[static_cast<size_t>(i)];
    shape.push_back(x.shape[source]);
    strides[static_cast<size_t>(i)] = own[static_cast<size_t>(source)];
  }
  return gather_strided(x.dtype, shape, {x.data, strides});
}

}  // namespace

Strides row_major(const Shape& shape) {
  Strides out{};
  int64_t stride = 1;
  for (int i = shape.rank() - 1; i >= 0; --i) {
    out[static_cast<size_t>(i)] = stride;
    stride *= shape[i];
  }
  return out;
}

Strides broadcast_strides(const Shape& from, const Shape& to) {
  const Strides own = row_major(from);
  const int lead = to.rank() - from.rank();
  Strides out{};
  for (int i = lead; i < to.rank(); ++i)
    if (from[i - lead] != 1) out[static_cast<size_t>(i)] = own[static_cast<size_t>(i - lead)];
  return out;
}

void copy_strided(DType dtype, const Shape& shape, const Layout& from, const Layout& to) {
  if (shape.n_elements() == 0) return;
  const Walk walk = simplify(shape, from.strides, to.strides);
  if (walk.shape.rank() == 0) {
    std::memcpy(to.data, from.data, size_of(dtype));
    return;
  }
  switch (size_of(dtype)) {
    case 1:
      return copy_typed<uint8_t>(walk, from.data, to.data);
    case 2:
      return copy_typed<uint16_t>(walk, from.data, to.data);
    case 4:
      return copy_typed<uint32_t>(walk, from.data, to.data);
    case 8:
      return copy_typed<uint64_t>(walk, from.data, to.data);
    default:
      check_failed(__FILE__, __LINE__, "a known dtype");
  }
}

Result<Tensor> gather_strided(DType dtype, const Shape& shape, const Layout& from) {
  Tensor out = TRY(Tensor::allocate(dtype, shape));
  copy_strided(dtype, shape, from, layout_of(out));
  return out;
}

Result<Tensor> move_axis_last(const Tensor& x, int axis) { return permuted(x, axis, x.shape.rank() - 1); }
Result<Tensor> move_last_to(const Tensor& x, int axis) { return permuted(x, x.shape.rank() - 1, axis); }

}  // namespace tessera::ops
