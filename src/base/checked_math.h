// Arithmetic on sizes that come from files: every step may overflow, and says so.
#pragma once

#include <concepts>
#include <optional>

namespace tessera {

template <std::integral T>
constexpr std::optional<T> checked_add(T a, T b) {
  T out{};
  if (__builtin_add_overflow(a, b, &out)) return std::nullopt;
  return out;
}

template <std::integral T>
constexpr std::optional<T> checked_mul(T a, T b) {
  T out{};
  if (__builtin_mul_overflow(a, b, &out)) return std::nullopt;
  return out;
}

// `n` rounded up to a multiple of `alignment` (> 0).
template <std::integral T>
constexpr std::optional<T> checked_align_up(T n, T alignment) {
  const T rest = n % alignment;
  return rest == 0 ? std::optional<T>(n) : checked_add<T>(n, alignment - rest);
}

// The same for sizes of our own, which cannot overflow.
template <std::integral T>
constexpr T align_up(T n, T alignment) {
  return (n + alignment - 1) / alignment * alignment;
}

template <std::integral T>
constexpr T ceil_div(T a, T b) {
  return (a + b - 1) / b;
}

}  // namespace tessera
