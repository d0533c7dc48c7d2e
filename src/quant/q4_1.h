// Q4_1: 32 values of 4 bits, a scale and an offset; 5 bits per value.
//
//   offset 0  d       f16
//          2  m       f16    added to every value
//          4  qs[16]         byte j: low nibble -> value j, high nibble -> value j + 16
//
//   value[i] = d * q + m,  q in 0..15
#pragma once

#include <cstdint>

#include "base/float16.h"

namespace tessera::quant {

struct Q4_1 {
  static constexpr int kValues = 32;
  F16 d;
  F16 m;
  uint8_t qs[16];
};
static_assert(sizeof(Q4_1) == 20);

void dequantize(const Q4_1& block, float* out);   // out[kValues]
void quantize(const float* values, Q4_1& block);  // values[kValues]

}  // namespace tessera::quant
