// Q5_1: 32 values of 5 bits, a scale and an offset; 6 bits per value.
//
//   offset 0  d       f16
//          2  m       f16    added to every value
//          4  qh[4]          bit i of the little-endian word: bit 4 of value i
//          8  qs[16]         low 4 bits; byte j: low nibble -> value j, high nibble -> value j + 16
//
//   value[i] = d * q + m,  q in 0..31
#pragma once

#include <cstdint>

#include "base/float16.h"

namespace tessera::quant {

struct Q5_1 {
  static constexpr int kValues = 32;
  F16 d;
  F16 m;
  uint8_t qh[4];
  uint8_t qs[16];
};
static_assert(sizeof(Q5_1) == 24);

void dequantize(const Q5_1& block, float* out);   // out[kValues]
void quantize(const float* values, Q5_1& block);  // values[kValues]

}  // namespace tessera::quant
