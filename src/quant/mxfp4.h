// MXFP4: 32 values of 4-bit floating point (E2M1) and a power of two (E8M0); 4.25 bits per value.
//
//   offset 0  e              the scale is 2^(e - 128), a factor 1/2 for the doubled levels included; 255 is NaN
//          1  qs[16]         byte j: low nibble -> value j, high nibble -> value j + 16
//
//   value[i] = 2^(e - 128) * kE2M1Doubled[q];  e = 0 and 1 give subnormals
#pragma once

#include <cstdint>

namespace tessera::quant {

// Twice the values of E2M1, so that they are integers (MXFP4, NVFP4).
constexpr int8_t kE2M1Doubled[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

struct MXFP4 {
  static constexpr int kValues = 32;
  uint8_t e;
  uint8_t qs[16];
};
static_assert(sizeof(MXFP4) == 17);

float scale_of(const MXFP4& block);               // 2^(e - 128)
void dequantize(const MXFP4& block, float* out);  // out[kValues]

}  // namespace tessera::quant
