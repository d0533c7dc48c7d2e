// IQ1_S: groups of 8 ternary values from a codebook of 2048, shifted by an eighth; 1.5625 bits per value.
//
//   offset  0  d        f16
//           2  qs[32]         group g (values 8g .. 8g+7): bits 7..0 of the codebook index
//          34  qh[8]    u16   word j, for values 32j .. 32j+31:
//                               bits 3t+2..3t  bits 10..8 of the index of group 4j + t
//                               bits 14..12    scale s
//                               bit 15         delta is -1/8 (1) or +1/8 (0)
//
//   value = d * (2s + 1) * (kIQ1_grid[index] + delta)      (quant/iq_codebooks.h)
#pragma once

#include <cstdint>

#include "base/float16.h"

namespace tessera::quant {

struct IQ1_S {
  static constexpr int kValues = 256;
  F16 d;
  uint8_t qs[32];
  uint16_t qh[8];
};
static_assert(sizeof(IQ1_S) == 50);

void dequantize(const IQ1_S& block, float* out);  // out[kValues]

}  // namespace tessera::quant
