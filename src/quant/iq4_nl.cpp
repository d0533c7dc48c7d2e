#include "quant/iq4_nl.h"

#include "quant/bit_planes.h"

namespace tessera::quant {

void dequantize(const IQ4_NL& block, float* out) {
  uint8_t codes[IQ4_NL::kValues];
  unpack_nibbles<16>(block.qs, codes);
  const float d = to_f32(block.d);
  for (int i = 0; i < IQ4_NL::kValues; ++i) out[i] = d * static_cast<float>(kIQ4Levels[codes[i]]);
}

}  // namespace tessera::quant
