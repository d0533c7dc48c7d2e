// IQ4_XS: IQ4_NL's levels in 8 sub-blocks of 32, each with a 6-bit scale; 4.25 bits per value.
//
//   offset 0  d            f16      multiplies the scales
//          2  scales_h     u16      bits 2j+1..2j: bits 5..4 of scale j
//          4  scales_l[4]           nibble j (low first): bits 3..0 of scale j
//          8  qs[128]               byte b of run j (16 bytes): low nibble -> value 32j + b, high -> value 32j + 16 + b
//
//   value[i] = d * (scale[i/32] - 32) * kIQ4Levels[q]
#pragma once

#include <cstdint>

#include "base/float16.h"
#include "quant/iq4_nl.h"

namespace tessera::quant {

struct IQ4_XS {
  static constexpr int kValues = 256;
  static constexpr int kSubBlock = 32;  // values that share a scale
  F16 d;
  uint16_t scales_h;
  uint8_t scales_l[4];
  uint8_t qs[128];
};
static_assert(sizeof(IQ4_XS) == 136);

void dequantize(const IQ4_XS& block, float* out);  // out[kValues]

}  // namespace tessera::quant
