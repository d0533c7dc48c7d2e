// Q6_K: 256 values in 16 sub-blocks of 16, each with a signed 8-bit scale; 6.5625 bits per value.
//
//   offset    0  ql[128]             low 4 bits; per half h = 0, 1 (128 values), l = 0..31:
//                                      ql[64h + l]       low  nibble -> value 128h + l
//                                      ql[64h + 32 + l]  low  nibble -> value 128h + 32 + l
//                                      ql[64h + l]       high nibble -> value 128h + 64 + l
//                                      ql[64h + 32 + l]  high nibble -> value 128h + 96 + l
//           128  qh[64]              top 2 bits: bits 2s+1..2s of qh[32h + l] -> value 128h + 32s + l
//           192  scales[16]  i8      scale k is for values 16k .. 16k+15
//           208  d           f16     multiplies the scales
//
//   value[i] = d * scale[i/16] * (q - 32),  q in 0..63
#pragma once

#include <cstdint>

#include "base/float16.h"

namespace tessera::quant {

struct Q6_K {
  static constexpr int kValues = 256;
  static constexpr int kSubBlock = 16;  // values that share a scale
  uint8_t ql[128];
  uint8_t qh[64];
  int8_t scales[16];
  F16 d;
};
static_assert(sizeof(Q6_K) == 210);

void dequantize(const Q6_K& block, float* out);   // out[kValues]
void quantize(const float* values, Q6_K& block);  // values[kValues]

void unpack_codes(const Q6_K& block, uint8_t* codes);  // codes[kValues] in 0..63

}  // namespace tessera::quant
