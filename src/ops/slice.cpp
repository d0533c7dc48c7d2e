#include "ops/slice.h"

#include <algorithm>

#include "ops/checks.h"
#include "ops/shape_ops.h"
#include "ops/strided.h"

namespace tessera::ops {

Result<SliceRange> resolve_slice(int64_t start, int64_t stop, int64_t step, int64_t size) {
  if (step == 0) return invalid_argument("slice step must not be 0");
  // Going backwards, "before the first entry" is -1 and the last entry is size - 1.
  const int64_t low = step > 0 ? 0 : -1, high = step > 0 ? size : size - 1;
  const auto clamped = [&](int64_t at) { return std::clamp(at < 0 ? at + size : at, low, high); };
  const int64_t begin = clamped(start), end = clamped(stop);
  const int64_t distance = step > 0 ? end - begin : begin - end;
  const int64_t stride = step > 0 ? step : -step;
  return SliceRange{begin, step, distance <= 0 ? 0 : (distance + stride - 1) / stride};
}

namespace {

// The slice as a shape and a layout inside x.
struct View {
  Shape shape;
  Layout layout;
};

View view_of(const Tensor& x, int axis, const SliceRange& range) {
  View view{x.shape, layout_of(x)};
  view.shape[axis] = range.count;
  int64_t& stride = view.layout.strides[static_cast<size_t>(axis)];
  if (range.count > 0) view.layout = advance(view.layout, range.begin * stride, x.dtype);
  view.layout.strides[static_cast<size_t>(axis)] *= range.step;
  return view;
}

}  // namespace

Result<Tensor> slice(const Tensor& x, int64_t axis, int64_t start, int64_t stop, int64_t step) {
  const int at = TRY(normalize_axis(axis, x.shape.rank()));
  const SliceRange range = TRY(resolve_slice(start, stop, step, x.shape[at]));
  if (range.count == x.shape[at] && step == 1) return x;
  const View view = view_of(x, at, range);
  return gather_strided(x.dtype, view.shape, view.layout);
}

Status slice_update(Tensor& dst, const Tensor& update, int64_t axis, int64_t start, int64_t stop, int64_t step) {
  CHECK(!dst.read_only);
  if (step < 1) return invalid_argument("the step of a slice update must be at least 1, found {}", step);
  if (start == stop) return {};
  const int at = TRY(normalize_axis(axis, dst.shape.rank()));
  const SliceRange range = TRY(resolve_slice(start, stop, step, dst.shape[at]));
  const auto from_front = [&](int64_t i) { return i < 0 ? i + dst.shape[at] : i; };
  if (range.count == 0 && from_front(start) < from_front(stop) && update.n_elements() > 0)
    return make_error(ErrorCode::kOutOfRange, "slice {}:{} lies outside axis {} of {}", start, stop, at, describe(dst));
  const View view = view_of(dst, at, range);
  const auto common = broadcast_shapes(update.shape, view.shape);
  if (!common || !(*common == view.shape))
    return invalid_argument("update {} does not fit the slice {} of {} (axis {}, {}:{}:{})", describe(update),
                            to_string(view.shape), describe(dst), at, start, stop, step);
  const Tensor values = TRY(cast_and_broadcast(update, dst.dtype, view.shape));
  copy_strided(dst.dtype, view.shape, layout_of(values), view.layout);
  return {};
}

}  // namespace tessera::ops
