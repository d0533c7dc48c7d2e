// IQ2_S: groups of 8 magnitudes from a codebook of 1024, a sign bit each, a scale per 16 values; 2.5625 bits per value.
//
//   offset  0  d          f16
//           2  qs[32]           group g (values 8g .. 8g+7): bits 7..0 of the codebook index
//          34  signs[32]        byte g: bit i is the sign of value 8g + i (1 is minus)
//          66  qh[8]            bits 2t+1..2t of byte j: bits 9..8 of the index of group 4j + t
//          74  scales[8]        nibble k (low first) -> scale s of values 16k .. 16k+15
//
//   value = d * (0.5 + s) / 4 * sign * kIQ2_S_grid[index]      (quant/iq_codebooks.h)
#pragma once

#include <cstdint>

#include "base/float16.h"

namespace tessera::quant {

struct IQ2_S {
  static constexpr int kValues = 256;
  F16 d;
  uint8_t qs[32];
  uint8_t signs[32];
  uint8_t qh[8];
  uint8_t scales[8];
};
static_assert(sizeof(IQ2_S) == 82);

void dequantize(const IQ2_S& block, float* out);  // out[kValues]

}  // namespace tessera::quant
