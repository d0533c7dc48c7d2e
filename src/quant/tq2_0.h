// TQ2_0: 256 ternary values of 2 bits; 2.0625 bits per value.
//
//   offset  0  qs[64]        bits 2s+1..2s of qs[32h + l] -> value 128h + 32s + l
//          64  d       f16
//
//   value[i] = d * (q - 1),  q in 0..3 (3 is not written by the quantizers we know)
#pragma once

#include <cstdint>

#include "base/float16.h"

namespace tessera::quant {

struct TQ2_0 {
  static constexpr int kValues = 256;
  uint8_t qs[64];
  F16 d;
};
static_assert(sizeof(TQ2_0) == 66);

void dequantize(const TQ2_0& block, float* out);  // out[kValues]

}  // namespace tessera::quant
