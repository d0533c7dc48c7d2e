// Q3_K: 256 values in 16 sub-blocks of 16, each with a 6-bit scale; 3.4375 bits per value.
//
//   offset   0  hmask[32]            bit j of byte l: bit 2 of value 32j + l
//           32  qs[64]               bits 1..0: bits 2s+1..2s of qs[32h + l] -> value 128h + 32s + l
//           96  scales[12]           16 scales of 6 bits, stored + 32:
//                                      bits 3..0 of scale k: byte k (k < 8) low nibble, byte k - 8 (k >= 8) high nibble
//                                      bits 5..4 of scale k: bits 2t+1..2t of byte 8 + k % 4, t = k / 4
//          108  d           f16      multiplies the scales
//
//   value[i] = d * (scale[i/16] - 32) * (q - 4),  q in 0..7
#pragma once

#include <cstdint>

#include "base/float16.h"

namespace tessera::quant {

struct Q3_K {
  static constexpr int kValues = 256;
  static constexpr int kSubBlock = 16;  // values that share a scale
  uint8_t hmask[32];
  uint8_t qs[64];
  uint8_t scales[12];
  F16 d;
};
static_assert(sizeof(Q3_K) == 110);

void dequantize(const Q3_K& block, float* out);  // out[kValues]

}  // namespace tessera::quant
