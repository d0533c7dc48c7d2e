#include "quant/iq2_xxs.h"

#include "quant/iq_codebooks.h"

namespace tessera::quant {

void dequantize(const IQ2_XXS& block, float* out) {
  const float d = to_f32(block.d);
  for (int j = 0; j < 8; ++j) {
    const uint16_t* record = block.qs + 4 * j;
    const uint32_t signs = record[2] | uint32_t{record[3]} << 16;
    const float scale = d * (0.5f + static_cast<float>(signs >> 28)) * 0.25f;
    for (int g = 0; g < 4; ++g) {
      const int index = (record[g / 2] >> 8 * (g % 2)) & 255;
      write_iq2_group(kIQ2_XXS_grid[index], signs_of_field(signs >> 7 * g), scale, out + 32 * j + 8 * g);
    }
  }
}

}  // namespace tessera::quant
