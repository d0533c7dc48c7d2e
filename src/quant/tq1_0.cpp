#include "quant/tq1_0.h"

namespace tessera::quant {
namespace {

constexpr int kPowersOf3[5] = {1, 3, 9, 27, 81};

// -1, 0 or 1: base-3 digit n of byte / 256, less one.
float digit(int byte, int n) { return static_cast<float>((((byte * kPowersOf3[n]) & 255) * 3 >> 8) - 1); }

}  // namespace

void dequantize(const TQ1_0& block, float* out) {
  const float d = to_f32(block.d);
  for (int i = 0; i < 160; ++i) out[i] = d * digit(block.qs[i % 32], i / 32);
  for (int i = 0; i < 80; ++i) out[160 + i] = d * digit(block.qs[32 + i % 16], i / 16);
  for (int i = 0; i < 16; ++i) out[240 + i] = d * digit(block.qh[i % 4], i / 4);
}

}  // namespace tessera::quant
