// Q2_0: 64 values of 2 bits and one scale; 2.25 bits per value.
//
//   offset 0  d       f16
//          2  qs[16]         bits 2t+1..2t of byte b -> value 4b + t
//
//   value[i] = d * (q - 1),  q in 0..3
#pragma once

#include <cstdint>

#include "base/float16.h"

namespace tessera::quant {

struct Q2_0 {
  static constexpr int kValues = 64;
  F16 d;
  uint8_t qs[16];
};
static_assert(sizeof(Q2_0) == 18);

void dequantize(const Q2_0& block, float* out);  // out[kValues]

}  // namespace tessera::quant
