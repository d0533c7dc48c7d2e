// Q1_0: 128 signs and one scale; 1.125 bits per value.
//
//   offset 0  d       f16
//          2  qs[16]         bit i%8 of byte i/8: value i is +d (1) or -d (0)
#pragma once

#include <cstdint>

#include "base/float16.h"

namespace tessera::quant {

struct Q1_0 {
  static constexpr int kValues = 128;
  F16 d;
  uint8_t qs[16];
};
static_assert(sizeof(Q1_0) == 18);

void dequantize(const Q1_0& block, float* out);  // out[kValues]

}  // namespace tessera::quant
