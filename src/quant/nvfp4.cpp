#include "quant/nvfp4.h"

#include <bit>

#include "quant/bit_planes.h"

namespace tessera::quant {
namespace {

// Unsigned E4M3.
float from_e4m3(uint32_t byte) {
  if (byte == 0x7f) return 0.0f;
  const uint32_t exponent = (byte >> 3) & 15, mantissa = byte & 7;
  if (exponent == 0) return static_cast<float>(mantissa) * 0x1p-9f;
  return std::bit_cast<float>((exponent + 120) << 23 | mantissa << 20);
}

}  // namespace

void dequantize(const NVFP4& block, float* out) {
  for (int s = 0; s < 4; ++s) {
    uint8_t codes[NVFP4::kSubBlock];
    unpack_nibbles<8>(block.qs + 8 * s, codes);
    const float d = 0.5f * from_e4m3(block.d[s]);
    for (int i = 0; i < NVFP4::kSubBlock; ++i) out[16 * s + i] = d * static_cast<float>(kE2M1Doubled[codes[i]]);
  }
}

}  // namespace tessera::quant
