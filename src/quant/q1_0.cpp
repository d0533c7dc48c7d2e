#include "quant/q1_0.h"

namespace tessera::quant {

void dequantize(const Q1_0& block, float* out) {
  const float d = to_f32(block.d);
  for (int i = 0; i < Q1_0::kValues; ++i) out[i] = (block.qs[i / 8] >> i % 8) & 1 ? d : -d;
}

}  // namespace tessera::quant
