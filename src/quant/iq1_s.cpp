#include "quant/iq1_s.h"

#include "quant/iq_codebooks.h"

namespace tessera::quant {

void dequantize(const IQ1_S& block, float* out) {
  const float d = to_f32(block.d);
  for (int g = 0; g < 32; ++g) {
    const int qh = block.qh[g / 4];
    const float scale = d * static_cast<float>(2 * ((qh >> 12) & 7) + 1);
    const float delta = qh & 0x8000 ? -kIQ1Delta : kIQ1Delta;
    const int index = block.qs[g] | ((qh >> 3 * (g % 4)) & 7) << 8;
    write_iq1_group(kIQ1_grid[index], delta, scale, out + 8 * g);
  }
}

}  // namespace tessera::quant
