#include "quant/iq1_m.h"

#include "quant/iq_codebooks.h"

namespace tessera::quant {

F16 scale_of(const IQ1_M& block) {
  int bits = 0;
  for (int w = 0; w < 4; ++w) bits |= (block.scales[w] >> 12) << 4 * w;
  return {static_cast<uint16_t>(bits)};
}

void dequantize(const IQ1_M& block, float* out) {
  const float d = to_f32(scale_of(block));
  for (int g = 0; g < 32; ++g) {
    const int s = (block.scales[g / 8] >> 3 * (g / 2 % 4)) & 7;
    const float scale = d * static_cast<float>(2 * s + 1);
    const int qh = (block.qh[g / 2] >> 4 * (g % 2)) & 15;
    const float delta = qh & 8 ? -kIQ1Delta : kIQ1Delta;
    write_iq1_group(kIQ1_grid[block.qs[g] | (qh & 7) << 8], delta, scale, out + 8 * g);
  }
}

}  // namespace tessera::quant
