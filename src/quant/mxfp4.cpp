#include "quant/mxfp4.h"

#include <bit>

#include "quant/bit_planes.h"

namespace tessera::quant {

float scale_of(const MXFP4& block) {
  const uint32_t e = block.e;
  return std::bit_cast<float>(e < 2 ? 0x00200000u << e : (e - 1) << 23);
}

void dequantize(const MXFP4& block, float* out) {
  uint8_t codes[MXFP4::kValues];
  unpack_nibbles<16>(block.qs, codes);
  const float d = scale_of(block);
  for (int i = 0; i < MXFP4::kValues; ++i) out[i] = d * static_cast<float>(kE2M1Doubled[codes[i]]);
}

}  // namespace tessera::quant
