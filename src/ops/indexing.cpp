#include "ops/indexing.h"

#include <cstring>

#include "ops/cast.h"
#include "ops/checks.h"
#include "ops/dtype_rules.h"
#include "ops/elements.h"
#include "ops/shape_ops.h"
#include "ops/slice.h"
#include "ops/strided.h"
#include "ops/wrapping.h"

namespace tessera::ops {
namespace {

// x seen as (outer, size, inner) around one axis.
struct Around {
  int64_t outer, size, inner;
};
Around around(const Shape& shape, int axis) {
  return {product(shape, 0, axis), shape[axis], product(shape, axis + 1, shape.rank())};
}

// The indices as numbers in [0, size).
Result<std::vector<int64_t>> resolved(const Tensor& indices, int64_t size) {
  TRY(check_integer(indices, "indices"));
  std::vector<int64_t> out = to_int64s(indices);
  for (int64_t& index : out) index = TRY(normalize_index(index, size));
  return out;
}

// What take_along_axis and scatter_add share: x and indices with all axes but one broadcast to each other.
struct Along {
  int axis;
  Shape x_shape, index_shape;
  std::vector<int64_t> indices;
};

Result<Along> along_axis(const Tensor& x, const Tensor& indices, int64_t axis) {
  TRY(check_rank(indices, x.shape.rank(), "indices"));
  const int at = TRY(normalize_axis(axis, x.shape.rank()));
  Shape x_rest = x.shape, index_rest = indices.shape;
  x_rest[at] = index_rest[at] = 1;
  const Shape rest = TRY(broadcast_shapes(x_rest, index_rest));
  Along out{at, rest, rest, {}};
  out.x_shape[at] = x.shape[at];
  out.index_shape[at] = indices.shape[at];
  const Tensor wide = TRY(broadcast_to(indices, out.index_shape));
  out.indices = TRY(resolved(wide, x.shape[at]));
  return out;
}

// Calls f(i, source): i runs over the flat index tensor, source is the flat position in x that it names.
template <typename F>
void for_each_along(const Along& along, F&& f) {
  const Around entries = around(along.index_shape, along.axis);
  const int64_t size = along.x_shape[along.axis];
  int64_t i = 0;
  for (int64_t o = 0; o < entries.outer; ++o)
    for (int64_t e = 0; e < entries.size; ++e)
      for (int64_t n = 0; n < entries.inner; ++n, ++i)
        f(i, (o * size + along.indices[static_cast<size_t>(i)]) * entries.inner + n);
}

template <typename U>
Result<Tensor> scatter_add_as(const Tensor& x, const Along& along, const Tensor& updates) {
  const int64_t n = x.n_elements();
  std::vector<U> sums(static_cast<size_t>(n)), values(static_cast<size_t>(updates.n_elements()));
  load(x, 0, n, sums.data());
  load(updates, 0, updates.n_elements(), values.data());
  for_each_along(along, [&](int64_t i, int64_t at) {
    U& sum = sums[static_cast<size_t>(at)];
    sum = wrapping_add(sum, values[static_cast<size_t>(i)]);
  });
  Tensor out = TRY(Tensor::allocate(x.dtype, x.shape));
  store(sums.data(), n, out, 0);
  return out;
}

}  // namespace

Result<Tensor> take(const Tensor& x, int64_t index, int64_t axis) {
  const int at = TRY(normalize_axis(axis, x.shape.rank()));
  const int64_t entry = TRY(normalize_index(index, x.shape[at]));
  const Tensor one = TRY(slice(x, at, entry, entry + 1, 1));
  Shape shape;
  for (int i = 0; i < x.shape.rank(); ++i)
    if (i != at) shape.push_back(x.shape[i]);
  return one.reshaped(shape);
}

Result<Tensor> take(const Tensor& x, const Tensor& indices, int64_t axis) {
  const int at = TRY(normalize_axis(axis, x.shape.rank()));
  if (x.shape.rank() - 1 + indices.shape.rank() > Shape::kMaxRank)
    return invalid_argument("taking {} from {} gives more than {} axes", describe(indices), describe(x),
                            Shape::kMaxRank);
  const std::vector<int64_t> entries = TRY(resolved(indices, x.shape[at]));
  Shape shape;
  for (int i = 0; i < at; ++i) shape.push_back(x.shape[i]);
  for (int64_t dim : indices.shape) shape.push_back(dim);
  for (int i = at + 1; i < x.shape.rank(); ++i) shape.push_back(x.shape[i]);
  Tensor out = TRY(Tensor::allocate(x.dtype, shape));
  const Around parts = around(x.shape, at);
  const size_t bytes = static_cast<size_t>(parts.inner) * size_of(x.dtype);
  std::byte* to = out.data;
  for (int64_t o = 0; o < parts.outer; ++o)
    for (int64_t entry : entries) {
      std::memcpy(to, x.data + static_cast<size_t>(o * parts.size + entry) * bytes, bytes);
      to += bytes;
    }
  return out;
}

Result<Tensor> take_along_axis(const Tensor& x, const Tensor& indices, int64_t axis) {
  const Along along = TRY(along_axis(x, indices, axis));
  const Tensor wide = TRY(broadcast_to(x, along.x_shape));
  Tensor out = TRY(Tensor::allocate(x.dtype, along.index_shape));
  dispatch(x.dtype, [&]<typename T>() {
    const T* from = wide.as<T>();
    T* to = out.as<T>();
    for_each_along(along, [&](int64_t i, int64_t at) { to[i] = from[at]; });
  });
  return out;
}

Result<Tensor> gather(const Tensor& x, std::span<const Tensor> indices, std::span<const int32_t> axes,
                      std::span<const int32_t> slice_sizes) {
  const int rank = x.shape.rank();
  if (indices.size() != axes.size())
    return invalid_argument("{} index tensors for {} axes", indices.size(), axes.size());
  if (static_cast<int>(slice_sizes.size()) != rank)
    return invalid_argument("{} slice sizes for {}", slice_sizes.size(), describe(x));
  for (int32_t axis : axes)
    if (axis < 0) return invalid_argument("gather axes must not be negative, found {}", axis);
  const std::vector<int> at = TRY(normalize_axes(axes, rank));
  Shape block;
  for (int i = 0; i < rank; ++i) {
    const int64_t size = slice_sizes[static_cast<size_t>(i)];
    if (size <= 0 || size > x.shape[i]) return invalid_argument("a slice of {} on axis {} of {}", size, i, describe(x));
    block.push_back(size);
  }
  Shape batch;
  for (const Tensor& index : indices) batch = TRY(broadcast_shapes(batch, index.shape));
  std::vector<std::vector<int64_t>> starts;
  for (size_t k = 0; k < indices.size(); ++k) {
    const Tensor wide = TRY(broadcast_to(indices[k], batch));
    starts.push_back(TRY(resolved(wide, x.shape[at[k]])));
  }
  if (batch.rank() + rank > Shape::kMaxRank) return invalid_argument("a gather of more than {} axes", Shape::kMaxRank);
  Shape shape = batch;
  for (int64_t dim : block) shape.push_back(dim);
  Tensor out = TRY(Tensor::allocate(x.dtype, shape));
  const Layout source = layout_of(x);
  Layout target{out.data, row_major(block)};
  for (int64_t i = 0; i < batch.n_elements(); ++i) {
    int64_t origin = 0;
    for (size_t k = 0; k < at.size(); ++k) {
      const int64_t start = starts[k][static_cast<size_t>(i)];
      if (start + block[at[k]] > x.shape[at[k]])
        return make_error(ErrorCode::kOutOfRange, "a slice of {} at index {} crosses the end of axis {} of {}",
                          block[at[k]], start, at[k], describe(x));
      origin += start * source.strides[static_cast<size_t>(at[k])];
    }
    copy_strided(x.dtype, block, advance(source, origin, x.dtype), target);
    target = advance(target, block.n_elements(), x.dtype);
  }
  return out;
}

Result<Tensor> scatter_add(const Tensor& x, const Tensor& indices, const Tensor& updates, int64_t axis) {
  const int at = TRY(normalize_axis(axis, x.shape.rank()));
  TRY(check_rank(indices, x.shape.rank(), "indices"));
  Shape lanes = x.shape;  // what indices and updates broadcast to: x's sizes, but their own on the axis
  lanes[at] = indices.shape[at];
  const Tensor wide = TRY(broadcast_to(indices, lanes));
  const Tensor values = TRY(cast_and_broadcast(updates, x.dtype, lanes));
  const Along along{at, x.shape, lanes, TRY(resolved(wide, x.shape[at]))};
  return is_float(x.dtype) ? scatter_add_as<double>(x, along, values) : scatter_add_as<int64_t>(x, along, values);
}

Status index_copy(Tensor& dst, const Tensor& update, const Tensor& indices, int64_t axis) {
  CHECK(!dst.read_only);
  const int at = TRY(normalize_axis(axis, dst.shape.rank()));
  TRY(check_rank(indices, 1, "indices"));
  if (indices.dtype != DType::kI64) return invalid_argument("indices must be i64, found {}", describe(indices));
  Shape expected = dst.shape;
  expected[at] = indices.shape[0];
  TRY(check_shape(update, expected, "update"));
  const std::vector<int64_t> entries = TRY(resolved(indices, dst.shape[at]));
  const Tensor values = TRY(cast(update, dst.dtype));
  const Around parts = around(dst.shape, at);
  const size_t bytes = static_cast<size_t>(parts.inner) * size_of(dst.dtype);
  const std::byte* from = values.data;
  for (int64_t o = 0; o < parts.outer; ++o)
    for (int64_t entry : entries) {
      std::memcpy(dst.data + static_cast<size_t>(o * parts.size + entry) * bytes, from, bytes);
      from += bytes;
    }
  return {};
}

}  // namespace tessera::ops
