// Q2_K: 256 values in 16 sub-blocks of 16, each with a 4-bit scale and a 4-bit min; 2.625 bits per value.
//
//   offset  0  scales[16]           byte k, for values 16k .. 16k+15: low nibble scale, high nibble min
//          16  qs[64]               bits 2s+1..2s of qs[32h + l] -> value 128h + 32s + l
//          80  d           f16      multiplies the scales
//          82  dmin        f16      multiplies the mins
//
//   value[i] = d * scale[i/16] * q - dmin * min[i/16],  q in 0..3
#pragma once

#include <cstdint>

#include "base/float16.h"

namespace tessera::quant {

struct Q2_K {
  static constexpr int kValues = 256;
  static constexpr int kSubBlock = 16;  // values that share a scale
  uint8_t scales[16];
  uint8_t qs[64];
  F16 d;
  F16 dmin;
};
static_assert(sizeof(Q2_K) == 84);

void dequantize(const Q2_K& block, float* out);  // out[kValues]

}  // namespace tessera::quant
