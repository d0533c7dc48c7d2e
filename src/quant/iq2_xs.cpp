#include "quant/iq2_xs.h"

#include "quant/iq_codebooks.h"

namespace tessera::quant {

void dequantize(const IQ2_XS& block, float* out) {
  const float d = to_f32(block.d);
  for (int g = 0; g < 32; ++g) {
    const int s = (block.scales[g / 4] >> 4 * (g / 2 % 2)) & 15;
    const float scale = d * (0.5f + static_cast<float>(s)) * 0.25f;
    const unsigned signs = signs_of_field(block.qs[g] >> 9);
    write_iq2_group(kIQ2_XS_grid[block.qs[g] & 511], signs, scale, out + 8 * g);
  }
}

}  // namespace tessera::quant
