#include "ops/shape_ops.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "base/checked_math.h"
#include "ops/cast.h"
#include "ops/checks.h"
#include "ops/strided.h"

namespace tessera::ops {

Result<Tensor> reshape(const Tensor& x, std::span<const int64_t> shape) {
  std::vector<int64_t> dims(shape.begin(), shape.end());
  const auto unknown = std::find(dims.begin(), dims.end(), -1);
  if (unknown != dims.end()) {
    *unknown = 1;
    const Shape known = TRY(make_shape(dims));
    const int64_t n = known.n_elements();
    if (n == 0 || x.n_elements() % n != 0)
      return invalid_argument("cannot infer the -1 in {} for {}", shape, describe(x));
    *unknown = x.n_elements() / n;
  }
  const Shape to = TRY(make_shape(dims));
  if (to.n_elements() != x.n_elements())
    return invalid_argument("{} has {} elements, shape {} has {}", describe(x), x.n_elements(), to_string(to),
                            to.n_elements());
  return x.reshaped(to);
}

Result<Tensor> expand_dims(const Tensor& x, int64_t axis) {
  if (x.shape.rank() == Shape::kMaxRank) return invalid_argument("{} has no room for another axis", describe(x));
  const int at = TRY(normalize_axis(axis, x.shape.rank() + 1));
  Shape out;
  for (int i = 0; i <= x.shape.rank(); ++i) out.push_back(i == at ? 1 : x.shape[i < at ? i : i - 1]);
  return x.reshaped(out);
}

Result<Tensor> squeeze(const Tensor& x, std::span<const int32_t> dims) {
  const int rank = x.shape.rank();
  const auto listed = [&](int axis) {
    return std::any_of(dims.begin(), dims.end(), [&](int32_t dim) { return dim == axis || dim + rank == axis; });
  };
  Shape out;
  for (int i = 0; i < rank; ++i)
    if (x.shape[i] != 1 || !(dims.empty() || listed(i))) out.push_back(x.shape[i]);
  return x.reshaped(out);
}

Result<Tensor> transpose(const Tensor& x, std::span<const int32_t> perm) {
  if (static_cast<int>(perm.size()) != x.shape.rank())
    return invalid_argument("a permutation of {} axes for {}", perm.size(), describe(x));
  const std::vector<int> axes = TRY(normalize_axes(perm, x.shape.rank()));
  const Strides own = row_major(x.shape);
  Shape shape;
  Strides strides{};
  for (size_t i = 0; i < axes.size(); ++i) {
    shape.push_back(x.shape[axes[i]]);
    strides[i] = own[static_cast<size_t>(axes[i])];
  }
  return gather_strided(x.dtype, shape, {x.data, strides});
}

Result<Tensor> broadcast_to(const Tensor& x, const Shape& shape) {
  if (x.shape == shape) return x;
  const auto common = broadcast_shapes(x.shape, shape);
  if (!common || !(*common == shape))
    return invalid_argument("{} does not broadcast to {}", describe(x), to_string(shape));
  return gather_strided(x.dtype, shape, {x.data, broadcast_strides(x.shape, shape)});
}

Result<Tensor> broadcast_to(const Tensor& x, std::span<const int64_t> shape) {
  std::vector<int64_t> dims(shape.begin(), shape.end());
  const int lead = static_cast<int>(dims.size()) - x.shape.rank();
  for (size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] != -1) continue;
    if (static_cast<int>(i) < lead)
      return invalid_argument("-1 in {} stands for an axis that {} does not have", shape, describe(x));
    dims[i] = x.shape[static_cast<int>(i) - lead];
  }
  const Shape to = TRY(make_shape(dims));
  return broadcast_to(x, to);
}

Result<Tensor> cast_and_broadcast(const Tensor& x, DType dtype, const Shape& shape) {
  const Tensor converted = TRY(cast(x, dtype));
  return broadcast_to(converted, shape);
}

Result<Tensor> as_strided(const Tensor& x, std::span<const int64_t> shape, std::span<const int64_t> strides,
                          uint64_t offset) {
  const Shape to = TRY(make_shape(shape));
  if (strides.size() != shape.size())
    return invalid_argument("{} strides for a shape of {} axes", strides.size(), shape.size());
  if (to.n_elements() == 0) return Tensor::allocate(x.dtype, to);
  const auto outside = [&] {
    return make_error(ErrorCode::kOutOfRange, "shape {} with strides {} at {} reads outside {}", shape, strides, offset,
                      describe(x));
  };
  if (offset >= static_cast<uint64_t>(x.n_elements())) return outside();
  const auto begin = static_cast<int64_t>(offset);
  int64_t first = begin, last = begin;  // the smallest and the largest index read
  Strides steps{};
  for (size_t i = 0; i < strides.size(); ++i) {
    steps[i] = strides[i];
    const auto span = checked_mul(strides[i], shape[i] - 1);
    if (!span) return outside();
    int64_t& end = *span < 0 ? first : last;
    const auto moved = checked_add(end, *span);
    if (!moved) return outside();
    end = *moved;
  }
  if (first < 0 || last >= x.n_elements()) return outside();
  return gather_strided(x.dtype, to, advance({x.data, steps}, begin, x.dtype));
}

// (d0, d1) tiled (r0, r1) is (1, d0, 1, d1) broadcast to (r0, d0, r1, d1), copied axis by axis so that rank 16 is
// enough.
Result<Tensor> tile(const Tensor& x, std::span<const int64_t> reps) {
  const int rank = std::max(x.shape.rank(), static_cast<int>(reps.size()));
  if (rank > Shape::kMaxRank) return invalid_argument("{} repetitions; at most {}", reps.size(), Shape::kMaxRank);
  Shape shape;
  for (int i = 0; i < rank; ++i) {
    const int own = i - (rank - x.shape.rank());
    shape.push_back(own < 0 ? 1 : x.shape[own]);
  }
  Tensor out = x.reshaped(shape);
  for (int i = 0; i < rank; ++i) {
    const int at = i - (rank - static_cast<int>(reps.size()));
    const int64_t n = at < 0 ? 1 : reps[static_cast<size_t>(at)];
    if (n < 0) return invalid_argument("a negative number of repetitions in {}", reps);
    if (n == 1) continue;
    const int64_t outer = product(out.shape, 0, i), inner = product(out.shape, i, rank);
    const auto size = checked_mul(shape[i], n);
    if (!size) return invalid_argument("{} repeated {} times is too large", describe(x), reps);
    shape[i] = *size;
    TRY(make_shape(shape.dims()));  // an empty tensor's other sizes must be sane as well
    out = TRY(broadcast_to(out.reshaped({outer, 1, inner}), Shape{outer, n, inner}));
    out.shape = shape;
  }
  return out;
}

Result<Tensor> repeat(const Tensor& x, int64_t repeats, int64_t axis) {
  const int at = TRY(normalize_axis(axis, x.shape.rank()));
  Shape shape = x.shape;
  const auto size = checked_mul(shape[at], repeats);
  if (repeats <= 0 || !size)
    return invalid_argument("repeats must be positive and the result small, found {}", repeats);
  shape[at] = *size;
  TRY(check_created(shape, x.dtype));
  const int64_t outer = product(x.shape, 0, at + 1), inner = product(x.shape, at + 1, x.shape.rank());
  const Tensor wide = TRY(broadcast_to(x.reshaped(Shape{outer, 1, inner}), Shape{outer, repeats, inner}));
  return wide.reshaped(shape);
}

Result<Tensor> roll(const Tensor& x, std::span<const int64_t> shifts, std::span<const int32_t> axes) {
  if (!axes.empty() && shifts.size() != axes.size())
    return invalid_argument("{} shifts for {} axes", shifts.size(), axes.size());
  Tensor out = x;
  for (size_t i = 0; i < axes.size(); ++i) {
    const int axis = TRY(normalize_axis(axes[i], x.shape.rank()));
    const int64_t size = x.shape[axis];
    const int64_t shift = size == 0 ? 0 : ((shifts[i] % size) + size) % size;
    if (shift == 0) continue;
    const int64_t outer = product(x.shape, 0, axis), inner = product(x.shape, axis + 1, x.shape.rank());
    const Tensor from = out;
    out = TRY(Tensor::allocate(x.dtype, x.shape));
    const Layout source{from.data, row_major({outer, size, inner})}, target{out.data, source.strides};
    const int64_t stays = size - shift;  // entries that do not wrap
    copy_strided(x.dtype, {outer, stays, inner}, source, advance(target, shift * inner, x.dtype));
    copy_strided(x.dtype, {outer, shift, inner}, advance(source, stays * inner, x.dtype), target);
  }
  return out;
}

}  // namespace tessera::ops
