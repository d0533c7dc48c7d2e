#include "quant/q5_0.h"

#include "quant/bit_planes.h"
#include "quant/small_blocks.h"

namespace tessera::quant {

void dequantize(const Q5_0& block, float* out) {
  uint8_t codes[Q5_0::kValues];
  unpack_nibbles<16>(block.qs, codes);
  unpack_word_bits<4>(block.qh, codes);
  const float d = to_f32(block.d);
  for (int i = 0; i < Q5_0::kValues; ++i) out[i] = d * static_cast<float>(codes[i] - 16);
}

void quantize(const float* values, Q5_0& block) {
  const SymmetricBlock fit = fit_symmetric_block(values, 16);
  block.d = fit.d;
  pack_nibbles<16>(fit.codes, block.qs);
  pack_word_bits<4>(fit.codes, block.qh);
}

}  // namespace tessera::quant
