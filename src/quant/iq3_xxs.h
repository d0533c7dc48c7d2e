// IQ3_XXS: groups of 4 magnitudes from a codebook of 256 and packed signs; 3.0625 bits per value.
//
//   offset  0  d           f16
//           2  qs[64]            codebook index of group g (values 4g .. 4g+3)
//          66  signs[32]         8 little-endian words, word j for values 32j .. 32j+31:
//                                  bits 7t+6..7t: sign field of values 8t .. 8t+7 of the run; bits 31..28: scale s
//
//   value = d * (0.5 + s) / 2 * sign * kIQ3_XXS_grid[index]      (quant/iq_codebooks.h: codebooks, sign fields)
#pragma once

#include <cstdint>

#include "base/float16.h"

namespace tessera::quant {

struct IQ3_XXS {
  static constexpr int kValues = 256;
  F16 d;
  uint8_t qs[64];
  uint8_t signs[32];
};
static_assert(sizeof(IQ3_XXS) == 98);

void dequantize(const IQ3_XXS& block, float* out);  // out[kValues]

}  // namespace tessera::quant
