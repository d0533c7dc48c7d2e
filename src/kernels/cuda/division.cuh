// Division by a number the host knows: on a GPU, dividing is a chain of conversions and a reciprocal, some hundred
// clocks, and a kernel's first copies wait for it.
#pragma once

#include "kernels/cuda/words.cuh"

namespace tessera::kernels::cuda {

// With 2^(shift - 1) < value <= 2^shift: factor = 2^(31 + shift) / value, rounded up, is too large by less than one
// part in 2^31, so that quotients of numbers below 2^31 are exact.
struct Divisor {
  int32_t value;
  uint32_t factor;
  int32_t shift;
};

constexpr Divisor divisor_of(int32_t value) {  // >= 1
  int32_t shift = 0;
  while (int64_t{1} << shift < value) ++shift;
  const uint64_t unsigned_value = static_cast<uint64_t>(value);
  const uint64_t factor = ((uint64_t{1} << (31 + shift)) + unsigned_value - 1) / unsigned_value;
  return {value, static_cast<uint32_t>(factor), shift};
}

// Of n >= 0.
TESSERA_DEVICE int quotient(int n, const Divisor& by) {
  const uint64_t product = (uint64_t{2} * static_cast<uint32_t>(n)) * by.factor;
  return static_cast<int>(static_cast<uint32_t>(product >> 32) >> by.shift);
}
TESSERA_DEVICE int remainder(int n, const Divisor& by) { return n - quotient(n, by) * by.value; }

}  // namespace tessera::kernels::cuda
