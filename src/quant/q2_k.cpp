#include "quant/q2_k.h"

#include "quant/bit_planes.h"

namespace tessera::quant {

void dequantize(const Q2_K& block, float* out) {
  uint8_t codes[Q2_K::kValues] = {};
  unpack_bit_pairs<0>(block.qs, codes);
  const float d = to_f32(block.d), dmin = to_f32(block.dmin);
  for (int k = 0; k < 16; ++k) {
    const float scale = d * static_cast<float>(block.scales[k] & 15);
    const float min = dmin * static_cast<float>(block.scales[k] >> 4);
    for (int i = 16 * k; i < 16 * (k + 1); ++i) out[i] = scale * static_cast<float>(codes[i]) - min;
  }
}

}  // namespace tessera::quant
