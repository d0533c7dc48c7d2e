#include "quant/iq4_xs.h"

#include "quant/bit_planes.h"

namespace tessera::quant {

void dequantize(const IQ4_XS& block, float* out) {
  const float d = to_f32(block.d);
  for (int j = 0; j < 8; ++j) {
    uint8_t codes[32];
    unpack_nibbles<16>(block.qs + 16 * j, codes);
    const int low = (block.scales_l[j / 2] >> 4 * (j % 2)) & 15;
    const int high = (block.scales_h >> 2 * j) & 3;
    const float scale = d * static_cast<float>((low | high << 4) - 32);
    for (int i = 0; i < 32; ++i) out[32 * j + i] = scale * static_cast<float>(kIQ4Levels[codes[i]]);
  }
}

}  // namespace tessera::quant
