// TQ1_0: 256 ternary values, five to a byte in base 3; 1.6875 bits per value.
//
//   offset  0  qs[48]        digits of values 0..239: value e < 160 is digit e/32 of byte e%32;
//                              160 <= e < 240 is digit (e-160)/16 of byte 32 + (e-160)%16
//          48  qh[4]         value e >= 240 is digit (e-240)/4 of byte (e-240)%4
//          52  d       f16
//
//   A byte is a fraction of 256 written in base 3: digit n = floor(3 * ((byte * 3^n) mod 256) / 256).
//   value[i] = d * (digit - 1)
#pragma once

#include <cstdint>

#include "base/float16.h"

namespace tessera::quant {

struct TQ1_0 {
  static constexpr int kValues = 256;
  uint8_t qs[48];
  uint8_t qh[4];
  F16 d;
};
static_assert(sizeof(TQ1_0) == 54);

void dequantize(const TQ1_0& block, float* out);  // out[kValues]

}  // namespace tessera::quant
