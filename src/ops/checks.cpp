#include "ops/checks.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "base/checked_math.h"
#include "ops/dtype_rules.h"

namespace tessera::ops {

std::string describe(const Tensor& x) { return fmt::format("{} {}", name_of(x.dtype), to_string(x.shape)); }

Result<int> normalize_axis(int64_t axis, int rank) {
  if (axis < -rank || axis >= rank) return invalid_argument("axis {} is not one of a rank-{} tensor", axis, rank);
  return static_cast<int>(axis < 0 ? axis + rank : axis);
}

Result<std::vector<int>> normalize_axes(std::span<const int32_t> axes, int rank) {
  std::vector<int> out;
  for (int32_t axis : axes) {
    const int normalized = TRY(normalize_axis(axis, rank));
    if (std::find(out.begin(), out.end(), normalized) != out.end())
      return invalid_argument("axis {} is listed twice in {}", axis, axes);
    out.push_back(normalized);
  }
  return out;
}

Result<int64_t> normalize_index(int64_t index, int64_t size) {
  if (index < -size || index >= size)
    return make_error(ErrorCode::kOutOfRange, "index {} is outside {} entries", index, size);
  return index < 0 ? index + size : index;
}

Status check_float(const Tensor& x, std::string_view name) {
  if (!is_float(x.dtype)) return invalid_argument("{} must be a float tensor, found {}", name, describe(x));
  return {};
}

Status check_integer(const Tensor& x, std::string_view name) {
  if (!is_integer(x.dtype)) return invalid_argument("{} must be an integer tensor, found {}", name, describe(x));
  return {};
}

Status check_rank(const Tensor& x, int rank, std::string_view name) {
  if (x.shape.rank() != rank) return invalid_argument("{} must have rank {}, found {}", name, rank, describe(x));
  return {};
}

Status check_shape(const Tensor& x, const Shape& expected, std::string_view name) {
  if (!(x.shape == expected))
    return invalid_argument("{} must have shape {}, found {}", name, to_string(expected), describe(x));
  return {};
}

Result<Shape> make_shape(std::span<const int64_t> dims) {
  if (dims.size() > Shape::kMaxRank)
    return invalid_argument("a shape of {} dimensions; at most {} are possible", dims.size(), Shape::kMaxRank);
  int64_t n = 1;
  for (int64_t dim : dims) {
    if (dim < 0) return invalid_argument("a negative size in shape {}", dims);
    const auto next = checked_mul(n, std::max<int64_t>(dim, 1));
    if (!next) return make_error(ErrorCode::kOutOfMemory, "shape {} has more elements than fit 64 bits", dims);
    n = *next;
  }
  return Shape(dims);
}

Status check_created(const Shape& shape, DType dtype) {
  constexpr int64_t kMaxBytes = int64_t{4} << 30;
  int64_t bytes = static_cast<int64_t>(size_of(dtype));
  for (int64_t dim : shape) {
    if (dim <= 0) return invalid_argument("every size must be positive, found {}", to_string(shape));
    const auto next = checked_mul(bytes, dim);
    if (!next || *next > kMaxBytes)
      return make_error(ErrorCode::kOutOfMemory, "{} {} is larger than 4 GiB", name_of(dtype), to_string(shape));
    bytes = *next;
  }
  return {};
}

Result<Shape> broadcast_shapes(const Shape& a, const Shape& b) {
  const int rank = std::max(a.rank(), b.rank());
  Shape out;
  for (int i = 0; i < rank; ++i) {
    const int in_a = i - (rank - a.rank()), in_b = i - (rank - b.rank());
    const int64_t size_a = in_a < 0 ? 1 : a[in_a], size_b = in_b < 0 ? 1 : b[in_b];
    if (size_a != size_b && size_a != 1 && size_b != 1)
      return invalid_argument("shapes {} and {} do not broadcast", to_string(a), to_string(b));
    out.push_back(size_a == 1 ? size_b : size_a);
  }
  return out;
}

int64_t product(const Shape& shape, int begin, int end) {
  int64_t n = 1;
  for (int i = begin; i < end; ++i) n *= shape[i];
  return n;
}

}  // namespace tessera::ops
