#include "quant/iq3_xxs.h"

#include <cstring>

#include "quant/iq_codebooks.h"

namespace tessera::quant {

void dequantize(const IQ3_XXS& block, float* out) {
  const float d = to_f32(block.d);
  for (int j = 0; j < 8; ++j) {
    uint32_t signs;
    std::memcpy(&signs, block.signs + 4 * j, 4);
    const float scale = d * (0.5f + static_cast<float>(signs >> 28)) * 0.5f;
    for (int g = 0; g < 8; ++g) {
      const unsigned group_signs = signs_of_field(signs >> 7 * (g / 2)) >> 4 * (g % 2);
      const uint16_t entry = kIQ3_XXS_grid[block.qs[8 * j + g]];
      write_iq3_group(entry, kIQ3_XXS_magnitudes, group_signs, scale, out + 32 * j + 4 * g);
    }
  }
}

}  // namespace tessera::quant
