// Reading and writing tensor elements of any dtype. Nearly every operation computes in one of two types - double for
// floats, int64 for integers and bool - and rounds once when it stores, so operations are written once and not per
// dtype. dispatch() is the one place that turns a DType into a C++ type.
//
// Doubles make the reference independent of summation order for practical purposes; a sum, difference, product,
// quotient or root of f32 or narrower operands rounds as if it had been computed in f32 (53 >= 2 * 24 + 2 bits).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "base/check.h"
#include "base/dtype.h"
#include "base/float16.h"
#include "ops/tensor.h"

namespace tessera::ops {

// f.operator()<T>() with the C++ type of `dtype`: `dispatch(x.dtype, [&]<typename T>() { ... })`.
template <typename F>
decltype(auto) dispatch(DType dtype, F&& f) {
  switch (dtype) {
    case DType::kU8:
      return f.template operator()<uint8_t>();
    case DType::kI8:
      return f.template operator()<int8_t>();
    case DType::kI16:
      return f.template operator()<int16_t>();
    case DType::kU16:
      return f.template operator()<uint16_t>();
    case DType::kI32:
      return f.template operator()<int32_t>();
    case DType::kU32:
      return f.template operator()<uint32_t>();
    case DType::kI64:
      return f.template operator()<int64_t>();
    case DType::kF16:
      return f.template operator()<F16>();
    case DType::kBF16:
      return f.template operator()<BF16>();
    case DType::kF32:
      return f.template operator()<float>();
    case DType::kF64:
      return f.template operator()<double>();
    case DType::kBool:
      return f.template operator()<bool>();
  }
  check_failed(__FILE__, __LINE__, "a known dtype");
}

template <typename T>
inline constexpr bool kIsHalf = std::is_same_v<T, F16> || std::is_same_v<T, BF16>;

// The stored value as a number. U is double, int64_t or float.
template <typename U, typename T>
U number(T value) {
  if constexpr (kIsHalf<T>) {
    return static_cast<U>(to_f32(value));
  } else {
    return static_cast<U>(value);
  }
}

// The number as a stored value: floats round to nearest even (halves by way of f32), integers wrap, a float becoming an
// integer is truncated and saturates (NaN gives 0), a bool is "not zero".
template <typename T, typename U>
T stored(U value) {
  if constexpr (std::is_same_v<T, F16>) {
    return to_f16(static_cast<float>(value));
  } else if constexpr (std::is_same_v<T, BF16>) {
    return to_bf16(static_cast<float>(value));
  } else if constexpr (std::is_same_v<T, bool>) {
    return value != U{0};
  } else if constexpr (std::is_integral_v<T> && std::is_floating_point_v<U>) {
    constexpr U kLow = static_cast<U>(std::numeric_limits<T>::min());
    constexpr U kHigh = static_cast<U>(std::numeric_limits<T>::max());
    if (std::isnan(value)) return 0;
    if (value <= kLow) return std::numeric_limits<T>::min();
    return value >= kHigh ? std::numeric_limits<T>::max() : static_cast<T>(value);
  } else {
    return static_cast<T>(value);
  }
}

// Elements [begin, begin + n) of x as numbers. U is double, float or int64_t (int64_t: x is not a float tensor).
template <typename U>
void load(const Tensor& x, int64_t begin, int64_t n, U* out) {
  dispatch(x.dtype, [&]<typename T>() {
    const T* from = x.as<T>() + begin;
    for (int64_t i = 0; i < n; ++i) out[i] = number<U>(from[i]);
  });
}

template <typename U>
void store(const U* values, int64_t n, Tensor& x, int64_t begin) {
  dispatch(x.dtype, [&]<typename T>() {
    T* to = x.as<T>() + begin;
    for (int64_t i = 0; i < n; ++i) to[i] = stored<T>(values[i]);
  });
}

// One element.
template <typename U>
U element(const Tensor& x, int64_t i) {
  U out;
  load(x, i, 1, &out);
  return out;
}

// `value` rounded to a float dtype and back: one step of arithmetic done in that dtype.
inline double round_to(DType dtype, double value) {
  return dispatch(dtype, [&]<typename T>() { return number<double>(stored<T>(value)); });
}

// Calls f(begin, n) over [0, total) in pieces that fit buffers on the stack.
inline constexpr int64_t kChunk = 512;
template <typename F>
void for_each_chunk(int64_t total, F&& f) {
  for (int64_t begin = 0; begin < total; begin += kChunk) f(begin, std::min(kChunk, total - begin));
}

}  // namespace tessera::ops
