#include "quant/q4_0.h"

#include "quant/bit_planes.h"
#include "quant/small_blocks.h"

namespace tessera::quant {

void dequantize(const Q4_0& block, float* out) {
  uint8_t codes[Q4_0::kValues];
  unpack_nibbles<16>(block.qs, codes);
  const float d = to_f32(block.d);
  for (int i = 0; i < Q4_0::kValues; ++i) out[i] = d * static_cast<float>(codes[i] - 8);
}

void quantize(const float* values, Q4_0& block) {
  const SymmetricBlock fit = fit_symmetric_block(values, 8);
  block.d = fit.d;
  pack_nibbles<16>(fit.codes, block.qs);
}

}  // namespace tessera::quant
