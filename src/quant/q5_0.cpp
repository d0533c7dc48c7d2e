#include "quant/q5_0.h"

#include <cstring>

#include "quant/bit_planes.h"
#include "quant/small_blocks.h"

namespace tessera::quant {

void dequantize(const Q5_0& block, float* out) {
  uint8_t codes[Q5_0::kValues];
  unpack_nibbles<16>(block.qs, codes);
  uint32_t high;
  std::memcpy(&high, block.qh, 4);
  const float d = to_f32(block.d);
  for (int i = 0; i < Q5_0::kValues; ++i) {
    const int q = static_cast<int>(codes[i] | ((high >> i) & 1) << 4);
    out[i] = d * static_cast<float>(q - 16);
  }
}

void quantize(const float* values, Q5_0& block) {
  const SymmetricBlock fit = fit_symmetric_block(values, 16);
  block.d = fit.d;
  pack_nibbles<16>(fit.codes, block.qs);
  uint32_t high = 0;
  for (int i = 0; i < Q5_0::kValues; ++i) high |= uint32_t{fit.codes[i]} >> 4 << i;
  std::memcpy(block.qh, &high, 4);
}

}  // namespace tessera::quant
