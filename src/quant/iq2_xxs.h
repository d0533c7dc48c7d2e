// IQ2_XXS: groups of 8 magnitudes from a codebook of 256 and packed signs; 2.0625 bits per value.
//
//   offset 0  d       f16
//          2  qs[32]  u16     8 records of 8 bytes, record j for values 32j .. 32j+31:
//                               bytes 0..3   codebook index of group 0..3 (8 values each)
//                               u32 at 4     bits 7g+6..7g: sign field of group g; bits 31..28: scale s
//
//   value = d * (0.5 + s) / 4 * sign * kIQ2_XXS_grid[index]      (quant/iq_codebooks.h: codebooks, sign fields)
#pragma once

#include <cstdint>

#include "base/float16.h"

namespace tessera::quant {

struct IQ2_XXS {
  static constexpr int kValues = 256;
  F16 d;
  uint16_t qs[32];
};
static_assert(sizeof(IQ2_XXS) == 66);

void dequantize(const IQ2_XXS& block, float* out);  // out[kValues]

}  // namespace tessera::quant
