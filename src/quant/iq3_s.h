// IQ3_S: groups of 4 magnitudes from a codebook of 512, a sign bit each, a scale per 32 values; 3.4375 bits per value.
//
//   offset   0  d          f16
//            2  qs[64]           group g (values 4g .. 4g+3): bits 7..0 of the codebook index
//           66  qh[8]            bit t of byte j: bit 8 of the index of group 8j + t
//           74  signs[32]        bit i of byte b: sign of value 8b + i (1 is minus)
//          106  scales[4]        nibble j (low first) -> scale s of values 32j .. 32j+31
//
//   value = d * (1 + 2s) * sign * kIQ3_S_grid[index]      (quant/iq_codebooks.h)
#pragma once

#include <cstdint>

#include "base/float16.h"

namespace tessera::quant {

struct IQ3_S {
  static constexpr int kValues = 256;
  F16 d;
  uint8_t qs[64];
  uint8_t qh[8];
  uint8_t signs[32];
  uint8_t scales[4];
};
static_assert(sizeof(IQ3_S) == 110);

void dequantize(const IQ3_S& block, float* out);  // out[kValues]

}  // namespace tessera::quant
