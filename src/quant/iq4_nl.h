// IQ4_NL: 32 values of 4 bits that index a table of 16 levels, denser near zero; 4.5 bits per value.
//
//   offset 0  d       f16
//          2  qs[16]         byte j: low nibble -> value j, high nibble -> value j + 16
//
//   value[i] = d * kIQ4Levels[q]
#pragma once

#include <cstdint>

#include "base/float16.h"

namespace tessera::quant {

// The levels of IQ4_NL and IQ4_XS. Source: ggml, src/ggml-common.h (MIT).
constexpr int8_t kIQ4Levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

struct IQ4_NL {
  static constexpr int kValues = 32;
  F16 d;
  uint8_t qs[16];
};
static_assert(sizeof(IQ4_NL) == 18);

void dequantize(const IQ4_NL& block, float* out);  // out[kValues]

}  // namespace tessera::quant
