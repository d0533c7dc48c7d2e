// Q8_0: 32 signed bytes and one scale; 8.5 bits per value.
//
//   offset 0  d       f16
//          2  qs[32]  i8     value i = d * qs[i]
#pragma once

#include <cstdint>

#include "base/float16.h"

namespace tessera::quant {

struct Q8_0 {
  static constexpr int kValues = 32;
  F16 d;
  int8_t qs[32];
};
static_assert(sizeof(Q8_0) == 34);

void dequantize(const Q8_0& block, float* out);   // out[kValues]
void quantize(const float* values, Q8_0& block);  // values[kValues]

}  // namespace tessera::quant
