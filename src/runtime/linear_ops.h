// Work of linears, for reports.
#pragma once

#include <cstdint>

namespace tessera::runtime {

// Multiply-adds x 2, by the arithmetic that they take (kernels/cpu/arithmetic.md): machines have a peak for each.
struct LinearOps {
  int64_t int8 = 0, f32 = 0;

  int64_t all() const { return int8 + f32; }
  LinearOps& operator+=(const LinearOps& other) {
    int8 += other.int8;
    f32 += other.f32;
    return *this;
  }
};

}  // namespace tessera::runtime
