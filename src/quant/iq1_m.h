// IQ1_M: IQ1_S with a scale per 16 values and a delta per 8; 1.75 bits per value.
//
//   offset  0  qs[32]              group g (values 8g .. 8g+7): bits 7..0 of the codebook index
//          32  qh[16]              nibble g (low first): bits 2..0 -> bits 10..8 of the index of group g,
//                                    bit 3: delta is -1/8 (1) or +1/8 (0)
//          48  scales[4]    u16    bits 3t+2..3t of word w (t = 0..3): scale s of values 64w + 16t .. 64w + 16t + 15
//                                  bits 15..12 of word w: bits 4w+3..4w of the f16 d
//
//   value = d * (2s + 1) * (kIQ1_grid[index] + delta)      (quant/iq_codebooks.h)
#pragma once

#include <cstdint>

#include "base/float16.h"

namespace tessera::quant {

struct IQ1_M {
  static constexpr int kValues = 256;
  uint8_t qs[32];
  uint8_t qh[16];
  uint16_t scales[4];
};
static_assert(sizeof(IQ1_M) == 56);

F16 scale_of(const IQ1_M& block);                 // the scattered d
void dequantize(const IQ1_M& block, float* out);  // out[kValues]

}  // namespace tessera::quant
