#include "quant/q3_k.h"

#include "quant/bit_planes.h"

namespace tessera::quant {
namespace {

int scale_of(const Q3_K& block, int k) {
  const int low = k < 8 ? block.scales[k] & 15 : block.scales[k - 8] >> 4;
  const int high = (block.scales[8 + k % 4] >> 2 * (k / 4)) & 3;
  return (low | high << 4) - 32;
}

}  // namespace

void dequantize(const Q3_K& block, float* out) {
  uint8_t codes[Q3_K::kValues] = {};
  unpack_bit_pairs<0>(block.qs, codes);
  unpack_bits<2>(block.hmask, codes);
  const float d = to_f32(block.d);
  for (int k = 0; k < 16; ++k) {
    const float scale = d * static_cast<float>(scale_of(block, k));
    for (int i = 16 * k; i < 16 * (k + 1); ++i) out[i] = scale * static_cast<float>(codes[i] - 4);
  }
}

}  // namespace tessera::quant
