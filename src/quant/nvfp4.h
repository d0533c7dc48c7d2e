// NVFP4: 64 values of 4-bit floating point (E2M1) in 4 sub-blocks with an 8-bit float scale each; 4.5 bits per value.
//
//   offset 0  d[4]           scale of sub-block s (values 16s .. 16s+15), unsigned E4M3:
//                              bits 6..3 exponent (bias 7), bits 2..0 mantissa; bit 7 counts for nothing
//                              but that 0x7f is 0 and 0xff is not
//          4  qs[32]         byte b of run s (8 bytes): low nibble -> value 16s + b, high nibble -> value 16s + 8 + b
//
//   value[i] = 0.5 * e4m3(d[i/16]) * kE2M1Doubled[q]      (quant/mxfp4.h)
//   Files carry one more f32 factor per tensor beside it, which is not part of the blocks.
#pragma once

#include <cstdint>

#include "quant/mxfp4.h"

namespace tessera::quant {

struct NVFP4 {
  static constexpr int kValues = 64;
  static constexpr int kSubBlock = 16;  // values that share a scale
  uint8_t d[4];
  uint8_t qs[32];
};
static_assert(sizeof(NVFP4) == 36);

void dequantize(const NVFP4& block, float* out);  // out[kValues]

}  // namespace tessera::quant
