#include "quant/iq3_s.h"

#include "quant/iq_codebooks.h"

namespace tessera::quant {

void dequantize(const IQ3_S& block, float* out) {
  const float d = to_f32(block.d);
  for (int g = 0; g < 64; ++g) {
    const int s = (block.scales[g / 16] >> 4 * (g / 8 % 2)) & 15;
    const float scale = d * static_cast<float>(1 + 2 * s);
    const int index = block.qs[g] | ((block.qh[g / 8] >> g % 8) & 1) << 8;
    const unsigned signs = block.signs[g / 2] >> 4 * (g % 2);
    write_iq3_group(kIQ3_S_grid[index], kIQ3_S_magnitudes, signs, scale, out + 4 * g);
  }
}

}  // namespace tessera::quant
