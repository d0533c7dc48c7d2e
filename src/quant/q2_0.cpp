#include "quant/q2_0.h"

namespace tessera::quant {

void dequantize(const Q2_0& block, float* out) {
  const float d = to_f32(block.d);
  for (int i = 0; i < Q2_0::kValues; ++i) out[i] = d * static_cast<float>(((block.qs[i / 4] >> 2 * (i % 4)) & 3) - 1);
}

}  // namespace tessera::quant
