// What tests of operations and of the interpreter share: tensors out of literals and random numbers, and comparisons.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <random>
#include <vector>

#include "ops/cast.h"
#include "ops/checks.h"
#include "ops/elements.h"
#include "ops/tensor.h"

namespace tessera::ops::testing {

// A tensor of any dtype from numbers: tensor(DType::kBF16, {2, 2}, {1, 2, 3, 4}).
inline Tensor tensor(DType dtype, const Shape& shape, const std::vector<double>& values) {
  EXPECT_EQ(static_cast<int64_t>(values.size()), shape.n_elements());
  return from_doubles(values, shape, dtype).value();
}
inline Tensor f32(const Shape& shape, const std::vector<double>& values) { return tensor(DType::kF32, shape, values); }
inline Tensor i32(const Shape& shape, const std::vector<double>& values) { return tensor(DType::kI32, shape, values); }
inline Tensor i64(const Shape& shape, const std::vector<double>& values) { return tensor(DType::kI64, shape, values); }
inline Tensor boolean(const Shape& shape, const std::vector<double>& values) {
  return tensor(DType::kBool, shape, values);
}

// 0, 1, 2, ...
inline Tensor counting(DType dtype, const Shape& shape) {
  std::vector<double> values(static_cast<size_t>(shape.n_elements()));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i);
  return tensor(dtype, shape, values);
}

// Floats in [low, high), integers in [low, high], bools.
inline Tensor random(std::mt19937_64& rng, DType dtype, const Shape& shape, double low = -2, double high = 2) {
  std::vector<double> values(static_cast<size_t>(shape.n_elements()));
  std::uniform_real_distribution<double> real(low, high);
  for (double& value : values) {
    value = real(rng);
    if (!is_float(dtype)) value = std::round(value);
    if (dtype == DType::kBool) value = static_cast<double>(rng() % 2);
  }
  return tensor(dtype, shape, values);
}

// Element by index, as a number.
inline double at(const Tensor& x, std::initializer_list<int64_t> index) {
  int64_t flat = 0;
  int axis = 0;
  for (int64_t i : index) flat = flat * x.shape[axis++] + i;
  EXPECT_EQ(axis, x.shape.rank());
  return element<double>(x, flat);
}

inline std::vector<double> values_of(const Result<Tensor>& result) {
  EXPECT_TRUE(result.has_value()) << (result ? "" : result.error().message);
  return result ? to_doubles(*result) : std::vector<double>();
}

// The largest error a result of this dtype may have from one rounding of a value of this size.
inline double one_rounding(DType dtype, double value) {
  const double ulp = dtype == DType::kBF16  ? 0x1p-8
                     : dtype == DType::kF16 ? 0x1p-11
                     : dtype == DType::kF32 ? 0x1p-24
                                            : 0;
  return std::fabs(value) * ulp + (dtype == DType::kF16 ? 0x1p-25 : 1e-30);
}

// Dtype, shape and every element, floats within `roundings` roundings of the expected value; NaN equals NaN.
inline void expect_tensor(const Result<Tensor>& result, DType dtype, const Shape& shape,
                          const std::vector<double>& expected, double roundings = 1) {
  ASSERT_TRUE(result.has_value()) << result.error().message;
  EXPECT_EQ(tessera::name_of(result->dtype), tessera::name_of(dtype));
  ASSERT_TRUE(result->shape == shape) << "found " << to_string(result->shape) << ", expected " << to_string(shape);
  ASSERT_EQ(static_cast<int64_t>(expected.size()), shape.n_elements());
  const std::vector<double> found = to_doubles(*result);
  for (size_t i = 0; i < found.size(); ++i) {
    if (std::isnan(expected[i])) {
      EXPECT_TRUE(std::isnan(found[i])) << "element " << i << ": found " << found[i];
    } else if (std::isinf(expected[i]) || found[i] == expected[i]) {
      EXPECT_EQ(found[i], expected[i]) << "element " << i;
    } else {
      EXPECT_NEAR(found[i], expected[i], roundings * one_rounding(dtype, expected[i])) << "element " << i;
    }
  }
}
inline void expect_same(const Result<Tensor>& result, const Tensor& expected) {
  expect_tensor(result, expected.dtype, expected.shape, to_doubles(expected), 0);
}

// The call fails and says so with these words.
template <typename T>
void expect_error(const Result<T>& result, ErrorCode code, std::string_view words) {
  ASSERT_FALSE(result.has_value()) << "expected an error about \"" << words << "\"";
  EXPECT_EQ(tessera::name_of(result.error().code), tessera::name_of(code)) << result.error().message;
  EXPECT_NE(result.error().message.find(words), std::string::npos) << result.error().message;
}

// Calls f(index) for every index of `shape`, in row-major order.
inline void for_each_index(const Shape& shape, const std::function<void(const std::vector<int64_t>&)>& f) {
  std::vector<int64_t> index(static_cast<size_t>(shape.rank()), 0);
  for (int64_t i = 0; i < shape.n_elements(); ++i) {
    int64_t rest = i;
    for (int axis = shape.rank() - 1; axis >= 0; --axis) {
      index[static_cast<size_t>(axis)] = rest % shape[axis];
      rest /= shape[axis];
    }
    f(index);
  }
}
// x at an index, with NumPy broadcasting: leading axes dropped, size-1 axes read at 0.
inline double broadcast_at(const Tensor& x, const std::vector<int64_t>& index) {
  const size_t lead = index.size() - static_cast<size_t>(x.shape.rank());
  int64_t flat = 0;
  for (int axis = 0; axis < x.shape.rank(); ++axis) {
    const int64_t i = x.shape[axis] == 1 ? 0 : index[lead + static_cast<size_t>(axis)];
    flat = flat * x.shape[axis] + i;
  }
  return element<double>(x, flat);
}

}  // namespace tessera::ops::testing
