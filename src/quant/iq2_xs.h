// IQ2_XS: groups of 8 magnitudes from a codebook of 512, packed signs, a scale per 16 values; 2.3125 bits per value.
//
//   offset  0  d          f16
//           2  qs[32]     u16   group g (values 8g .. 8g+7): bits 8..0 codebook index, bits 15..9 sign field
//          66  scales[8]        nibble k (low first) -> scale s of values 16k .. 16k+15
//
//   value = d * (0.5 + s) / 4 * sign * kIQ2_XS_grid[index]      (quant/iq_codebooks.h: codebooks, sign fields)
#pragma once

#include <cstdint>

#include "base/float16.h"

namespace tessera::quant {

struct IQ2_XS {
  static constexpr int kValues = 256;
  F16 d;
  uint16_t qs[32];
  uint8_t scales[8];
};
static_assert(sizeof(IQ2_XS) == 74);

void dequantize(const IQ2_XS& block, float* out);  // out[kValues]

}  // namespace tessera::quant
