#include "quant/q6_k.h"

#include "quant/bit_planes.h"
#include "quant/fit.h"

namespace tessera::quant {
namespace {

constexpr int kSubBlocks = Q6_K::kValues / Q6_K::kSubBlock;
constexpr float kHalf = 32;  // codes are -32..31, stored + 32

// Weighted squared error of 16 values at this scale.
float error_of(const float* x, const float* w, float scale) {
  const Float4 step = splat4(scale), inverse = splat4(inverse_or_zero(scale));
  Float4 sum{};
  for (int i = 0; i < Q6_K::kSubBlock; i += 4) {
    const Float4 xi = load4(x + i);
    const Float4 q = round4(min4(max4(xi * inverse, splat4(-kHalf)), splat4(kHalf - 1)));
    const Float4 e = q * step - xi;
    sum += load4(w + i) * e * e;
  }
  return sum4(sum);
}

// The best of the three integers around scale / d, by the true error of the stored sub-block.
int best_scale_code(const float* x, const float* w, float scale, float d) {
  const float nearest = std::round(std::clamp(scale * inverse_or_zero(d), -128.0f, 127.0f));
  int best = static_cast<int>(nearest);
  float best_error = error_of(x, w, d * nearest);
  for (const float candidate : {nearest - 1, nearest + 1}) {
    if (candidate < -128 || candidate > 127) continue;
    const float error = error_of(x, w, d * candidate);
    if (error < best_error) {
      best_error = error;
      best = static_cast<int>(candidate);
    }
  }
  return best;
}

void assign_codes(const float* x, float scale, uint8_t* codes) {
  const float inverse = inverse_or_zero(scale);
  alignas(16) float q[Q6_K::kSubBlock];
  for (int i = 0; i < Q6_K::kSubBlock; i += 4) {
    const Float4 code = min4(max4(load4(x + i) * splat4(inverse), splat4(-kHalf)), splat4(kHalf - 1));
    store4(q + i, round4(code) + splat4(kHalf));
  }
  for (int i = 0; i < Q6_K::kSubBlock; ++i) codes[i] = static_cast<uint8_t>(q[i]);
}

}  // namespace

void unpack_codes(const Q6_K& block, uint8_t* codes) {
  for (int h = 0; h < 2; ++h) unpack_nibbles<64>(block.ql + 64 * h, codes + 128 * h);
  unpack_bit_pairs<4>(block.qh, codes);
}

void dequantize(const Q6_K& block, float* out) {
  uint8_t codes[Q6_K::kValues];
  unpack_codes(block, codes);
  const float d = to_f32(block.d);
  for (int k = 0; k < kSubBlocks; ++k) {
    const float scale = d * static_cast<float>(block.scales[k]);
    for (int i = 16 * k; i < 16 * (k + 1); ++i) out[i] = scale * static_cast<float>(codes[i] - 32);
  }
}

void quantize(const float* values, Q6_K& block) {
  block = {};
  const Prepared<Q6_K::kValues> in(values);
  if (in.unit == 0) return;

  alignas(16) float weights[Q6_K::kValues];
  float scales[kSubBlocks], top = 0;  // top: the scale of largest magnitude, with its sign
  for (int k = 0; k < kSubBlocks; ++k) {
    weigh<Q6_K::kSubBlock>(in.x + 16 * k, weights + 16 * k);
    scales[k] = fit_symmetric<Q6_K::kSubBlock>(in.x + 16 * k, weights + 16 * k, kHalf, {-0.9f, 0.1f, 19});
    if (std::fabs(scales[k]) > std::fabs(top)) top = scales[k];
  }
  block.d = to_f16_finite(top / -128 * in.unit);  // the top scale takes the code -128
  const float d = to_f32(block.d) / in.unit;

  uint8_t codes[Q6_K::kValues];
  for (int k = 0; k < kSubBlocks; ++k) {
    const int scale = best_scale_code(in.x + 16 * k, weights + 16 * k, scales[k], d);
    block.scales[k] = static_cast<int8_t>(scale);
    assign_codes(in.x + 16 * k, d * static_cast<float>(scale), codes + 16 * k);
  }
  for (int h = 0; h < 2; ++h) pack_nibbles<64>(codes + 128 * h, block.ql + 64 * h);
  pack_bit_pairs<4>(codes, block.qh);
}

}  // namespace tessera::quant
