#include "quant/iq2_s.h"

#include "quant/iq_codebooks.h"

namespace tessera::quant {

void dequantize(const IQ2_S& block, float* out) {
  const float d = to_f32(block.d);
  for (int g = 0; g < 32; ++g) {
    const int s = (block.scales[g / 4] >> 4 * (g / 2 % 2)) & 15;
    const float scale = d * (0.5f + static_cast<float>(s)) * 0.25f;
    const int index = block.qs[g] | ((block.qh[g / 4] >> 2 * (g % 4)) & 3) << 8;
    write_iq2_group(kIQ2_S_grid[index], block.signs[g], scale, out + 8 * g);
  }
}

}  // namespace tessera::quant
