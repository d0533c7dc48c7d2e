// The checks that many operations share. Errors say what was expected and what was found.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ops/tensor.h"

namespace tessera::ops {

// "bf16 [1, 4, 256]"
std::string describe(const Tensor& x);

// `axis` counted from the end when negative; error unless it names one of `rank` axes.
Result<int> normalize_axis(int64_t axis, int rank);
// `axes` normalized; none may occur twice.
Result<std::vector<int>> normalize_axes(std::span<const int32_t> axes, int rank);
// `index` into `size` entries, counted from the end when negative.
Result<int64_t> normalize_index(int64_t index, int64_t size);

Status check_float(const Tensor& x, std::string_view name);
Status check_integer(const Tensor& x, std::string_view name);
Status check_rank(const Tensor& x, int rank, std::string_view name);
Status check_shape(const Tensor& x, const Shape& expected, std::string_view name);

// A shape whose sizes come from a program: at most 16 of them, none negative, the product within int64.
Result<Shape> make_shape(std::span<const int64_t> dims);
// The guard of operations that create tensors out of nothing: every size positive, the whole at most 4 GiB.
Status check_created(const Shape& shape, DType dtype);

// NumPy's rule: aligned from the right, sizes equal or 1.
Result<Shape> broadcast_shapes(const Shape& a, const Shape& b);

// Product of the sizes [begin, end).
int64_t product(const Shape& shape, int begin, int end);

}  // namespace tessera::ops
