#include "ops/join.h"

#include <fmt/ranges.h>

#include "base/checked_math.h"
#include "ops/cast.h"
#include "ops/checks.h"
#include "ops/create.h"
#include "ops/dtype_rules.h"
#include "ops/shape_ops.h"
#include "ops/slice.h"
#include "ops/strided.h"

namespace tessera::ops {
namespace {

DType common_dtype(std::span<const Tensor> tensors) {
  DType dtype = tensors.front().dtype;
  for (const Tensor& x : tensors) dtype = promote(dtype, x.dtype);
  return dtype;
}

// The shape of the concatenation.
Result<Shape> joined_shape(std::span<const Tensor> tensors, int axis) {
  Shape out = tensors.front().shape;
  out[axis] = 0;
  for (const Tensor& x : tensors) {
    Shape expected = x.shape;
    if (x.shape.rank() == out.rank()) expected[axis] = out[axis];
    if (!(expected == out))
      return invalid_argument("{} cannot be joined with {} along axis {}", describe(x), describe(tensors.front()),
                              axis);
    out[axis] += x.shape[axis];
  }
  return out;
}

// Into how many parts `size` entries are split. Counted before they are listed: an empty tensor can have a long axis.
Result<size_t> count_parts(std::span<const int64_t> sizes, int64_t size) {
  if (sizes.size() != 1) return sizes.size();
  if (sizes[0] <= 0) return invalid_argument("the chunk size of a split must be positive, found {}", sizes[0]);
  return size == 0 ? size_t{1} : static_cast<size_t>((size - 1) / sizes[0] + 1);
}

// Where the parts begin and end.
Result<std::vector<int64_t>> split_points(std::span<const int64_t> sizes, int64_t size, size_t n_parts) {
  std::vector<int64_t> points{0};
  for (size_t i = 0; i + 1 < n_parts; ++i) {
    const int64_t part = sizes[sizes.size() == 1 ? 0 : i];
    if (part < 0 || part > size - points.back())
      return invalid_argument("split sizes {} do not fit {} entries", sizes, size);
    points.push_back(points.back() + part);
  }
  points.push_back(size);
  return points;
}

// Copies the first and last entry of the middle part of `axis` outwards.
void extend_edges(Tensor& x, int axis, int64_t low, int64_t size) {
  const int64_t outer = product(x.shape, 0, axis), inner = product(x.shape, axis + 1, x.shape.rank());
  const int64_t total = x.shape[axis], high = total - low - size;
  const Strides own = row_major({outer, total, inner});
  Strides repeated = own;
  repeated[1] = 0;
  const auto at = [&](int64_t entry, const Strides& strides) {
    return advance(Layout{x.data, strides}, entry * inner, x.dtype);
  };
  copy_strided(x.dtype, {outer, low, inner}, at(low, repeated), at(0, own));
  copy_strided(x.dtype, {outer, high, inner}, at(low + size - 1, repeated), at(low + size, own));
}

}  // namespace

Result<Tensor> concatenate(std::span<const Tensor> tensors, int64_t axis) {
  if (tensors.empty()) return invalid_argument("nothing to concatenate");
  const int at = TRY(normalize_axis(axis, tensors.front().shape.rank()));
  const Shape shape = TRY(joined_shape(tensors, at));
  Tensor out = TRY(Tensor::allocate(common_dtype(tensors), shape));
  Layout target = layout_of(out);
  const int64_t entry = target.strides[static_cast<size_t>(at)];
  for (const Tensor& x : tensors) {
    const Tensor part = TRY(cast(x, out.dtype));
    copy_strided(out.dtype, part.shape, layout_of(part), target);
    target = advance(target, part.shape[at] * entry, out.dtype);
  }
  return out;
}

Result<Tensor> stack(std::span<const Tensor> tensors, int64_t axis) {
  if (tensors.empty()) return invalid_argument("nothing to stack");
  std::vector<Tensor> expanded;
  for (const Tensor& x : tensors) {
    TRY(check_shape(x, tensors.front().shape, "every stacked tensor"));
    expanded.push_back(TRY(expand_dims(x, axis)));
  }
  return concatenate(expanded, axis);
}

Result<std::vector<Tensor>> split(const Tensor& x, std::span<const int64_t> sizes, int64_t axis, size_t n_outputs) {
  if (sizes.empty()) return invalid_argument("a split needs at least one size");
  const int at = TRY(normalize_axis(axis, x.shape.rank()));
  const size_t n_parts = TRY(count_parts(sizes, x.shape[at]));
  if (n_parts != n_outputs)
    return invalid_argument("sizes {} split axis {} of {} into {} parts, {} expected", sizes, at, describe(x), n_parts,
                            n_outputs);
  const std::vector<int64_t> points = TRY(split_points(sizes, x.shape[at], n_parts));
  std::vector<Tensor> out;
  for (size_t i = 0; i < n_outputs; ++i) out.push_back(TRY(slice(x, at, points[i], points[i + 1], 1)));
  return out;
}

Result<Tensor> pad(const Tensor& x, std::span<const int64_t> pad_width, PadMode mode, float value) {
  const int rank = x.shape.rank();
  if (static_cast<int>(pad_width.size()) != 2 * rank)
    return invalid_argument("{} pad widths for {}, expected a low and a high per axis", pad_width.size(), describe(x));
  std::vector<int64_t> dims(x.shape.begin(), x.shape.end());
  int64_t origin = 0;
  for (size_t i = 0; i < dims.size(); ++i) {
    const int64_t low = pad_width[2 * i], high = pad_width[2 * i + 1];
    const auto sum = low < 0 || high < 0 ? std::nullopt : checked_add(low, high);
    const auto size = sum ? checked_add(*sum, dims[i]) : std::nullopt;
    if (!size) return invalid_argument("pad widths {} must not be negative", pad_width);
    if (mode == PadMode::kEdge && dims[i] == 0 && *size > 0)
      return invalid_argument("edge padding of {} has no edge to repeat on axis {}", describe(x), i);
    dims[i] = *size;
  }
  const Shape shape = TRY(make_shape(dims));
  Tensor out = TRY(filled(shape, value, x.dtype));
  Layout target = layout_of(out);
  for (size_t i = 0; i < dims.size(); ++i) origin += pad_width[2 * i] * target.strides[i];
  copy_strided(x.dtype, x.shape, layout_of(x), advance(target, origin, x.dtype));
  if (mode == PadMode::kEdge)
    for (int i = rank - 1; i >= 0; --i) extend_edges(out, i, pad_width[2 * static_cast<size_t>(i)], x.shape[i]);
  return out;
}

}  // namespace tessera::ops
