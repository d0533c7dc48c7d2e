#include "quant/q5_1.h"

#include "quant/bit_planes.h"
#include "quant/small_blocks.h"

namespace tessera::quant {

void dequantize(const Q5_1& block, float* out) {
  uint8_t codes[Q5_1::kValues];
  unpack_nibbles<16>(block.qs, codes);
  unpack_word_bits<4>(block.qh, codes);
  const float d = to_f32(block.d), m = to_f32(block.m);
  for (int i = 0; i < Q5_1::kValues; ++i) out[i] = d * static_cast<float>(codes[i]) + m;
}

void quantize(const float* values, Q5_1& block) {
  const OffsetBlock fit = fit_offset_block(values, 31);
  block.d = fit.d;
  block.m = fit.m;
  pack_nibbles<16>(fit.codes, block.qs);
  pack_word_bits<4>(fit.codes, block.qh);
}

}  // namespace tessera::quant
