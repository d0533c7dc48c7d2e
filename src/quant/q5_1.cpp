#include "quant/q5_1.h"

#include <cstring>

#include "quant/bit_planes.h"
#include "quant/small_blocks.h"

namespace tessera::quant {

void dequantize(const Q5_1& block, float* out) {
  uint8_t codes[Q5_1::kValues];
  unpack_nibbles<16>(block.qs, codes);
  uint32_t high;
  std::memcpy(&high, block.qh, 4);
  const float d = to_f32(block.d), m = to_f32(block.m);
  for (int i = 0; i < Q5_1::kValues; ++i) {
    const int q = static_cast<int>(codes[i] | ((high >> i) & 1) << 4);
    out[i] = d * static_cast<float>(q) + m;
  }
}

void quantize(const float* values, Q5_1& block) {
  const OffsetBlock fit = fit_offset_block(values, 31);
  block.d = fit.d;
  block.m = fit.m;
  pack_nibbles<16>(fit.codes, block.qs);
  uint32_t high = 0;
  for (int i = 0; i < Q5_1::kValues; ++i) high |= uint32_t{fit.codes[i]} >> 4 << i;
  std::memcpy(block.qh, &high, 4);
}

}  // namespace tessera::quant
