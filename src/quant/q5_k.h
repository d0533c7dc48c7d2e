// Q5_K: Q4_K with a fifth bit per value kept apart; 5.5 bits per value.
//
//   offset  0  d          f16       multiplies the scales
//           2  dmin       f16       multiplies the mins
//           4  scales[12]           8 scales and 8 mins of 6 bits (quant/scales_6bit.h)
//          16  qh[32]               bit j of byte l: bit 4 of value 32j + l
//          48  qs[128]              low 4 bits; 4 runs of 32 bytes; byte l of run r:
//                                     low nibble  -> value 64r + l       (sub-block 2r)
//                                     high nibble -> value 64r + 32 + l  (sub-block 2r + 1)
//
//   value[i] = d * scale[i/32] * q - dmin * min[i/32],  q in 0..31
#pragma once

#include <cstdint>

#include "base/float16.h"

namespace tessera::quant {

struct Q5_K {
  static constexpr int kValues = 256;
  static constexpr int kSubBlock = 32;  // values that share a scale
  F16 d;
  F16 dmin;
  uint8_t scales[12];
  uint8_t qh[32];
  uint8_t qs[128];
};
static_assert(sizeof(Q5_K) == 176);

void dequantize(const Q5_K& block, float* out);   // out[kValues]
void quantize(const float* values, Q5_K& block);  // values[kValues]

}  // namespace tessera::quant
