#include "quant/tq2_0.h"

#include "quant/bit_planes.h"

namespace tessera::quant {

void dequantize(const TQ2_0& block, float* out) {
  uint8_t codes[TQ2_0::kValues] = {};
  unpack_bit_pairs<0>(block.qs, codes);
  const float d = to_f32(block.d);
  for (int i = 0; i < TQ2_0::kValues; ++i) out[i] = d * static_cast<float>(codes[i] - 1);
}

}  // namespace tessera::quant
