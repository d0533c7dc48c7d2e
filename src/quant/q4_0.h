// Q4_0: 32 values of 4 bits and one scale; 4.5 bits per value.
//
//   offset 0  d       f16
//          2  qs[16]          byte j: low nibble -> value j, high nibble -> value j + 16
//
//   value[i] = d * (q - 8),  q in 0..15
#pragma once

#include <cstdint>

#include "base/float16.h"

namespace tessera::quant {

struct Q4_0 {
  static constexpr int kValues = 32;
  F16 d;
  uint8_t qs[16];
};
static_assert(sizeof(Q4_0) == 18);

void dequantize(const Q4_0& block, float* out);   // out[kValues]
void quantize(const float* values, Q4_0& block);  // values[kValues]

}  // namespace tessera::quant
