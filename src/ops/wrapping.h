// Integer arithmetic that wraps, as that of every array library does. Signed overflow is undefined, so it goes through
// unsigned. Doubles are as usual, for code that serves both.
#pragma once

#include <cstdint>

namespace tessera::ops {

inline int64_t wrapping_add(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}
inline int64_t wrapping_subtract(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) - static_cast<uint64_t>(b));
}
inline int64_t wrapping_multiply(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
}
inline double wrapping_add(double a, double b) { return a + b; }
inline double wrapping_multiply(double a, double b) { return a * b; }

}  // namespace tessera::ops
