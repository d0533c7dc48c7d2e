#include "quant/q1_0.h"

#include <bit>

namespace tessera::quant {

void dequantize(const Q1_0& block, float* out) {
  // Without a branch, which random bits would miss half the time: a clear bit sets the sign.
  const uint32_t minus_d = std::bit_cast<uint32_t>(-to_f32(block.d));
  for (int i = 0; i < Q1_0::kValues; ++i) {
    const uint32_t bit = (block.qs[i / 8] >> i % 8) & 1;
    out[i] = std::bit_cast<float>(minus_d ^ bit << 31);
  }
}

}  // namespace tessera::quant
