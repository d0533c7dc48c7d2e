#include "quant/small_blocks.h"

#include "quant/fit.h"

namespace tessera::quant {
namespace {

constexpr int kValues = 32;

// codes[i] = round((x[i] - offset) / scale), clamped to bottom..top, plus `bias`.
void assign_codes(const float* x, float scale, float offset, float bottom, float top, float bias, uint8_t* codes) {
  const float inverse = inverse_or_zero(scale);
  for (int i = 0; i < kValues; i += 4) {
    const Float4 q = (load4(x + i) - splat4(offset)) * splat4(inverse);
    const Float4 code = round4(min4(max4(q, splat4(bottom)), splat4(top))) + splat4(bias);
    for (int k = 0; k < 4; ++k) codes[i + k] = static_cast<uint8_t>(code[k]);
  }
}

}  // namespace

SymmetricBlock fit_symmetric_block(const float* values, int half) {
  SymmetricBlock out{};
  const Prepared<kValues> in(values);
  const auto n = static_cast<float>(half);
  alignas(16) float weights[kValues];
  weigh<kValues>(in.x, weights);
  out.d = to_f16_finite(fit_symmetric<kValues>(in.x, weights, n, {-0.9f, 0.1f, 19}) * in.unit);
  const float scale = in.unit == 0 ? 0.0f : to_f32(out.d) / in.unit;
  assign_codes(in.x, scale, 0, -n, n - 1, n, out.codes);
  return out;
}

OffsetBlock fit_offset_block(const float* values, int max_code) {
  OffsetBlock out{};
  const Prepared<kValues> in(values);
  if (in.unit == 0) return out;
  const auto top = static_cast<float>(max_code);
  alignas(16) float weights[kValues];
  weigh<kValues>(in.x, weights);
  const AffineFit fit = fit_affine<kValues>(in.x, weights, top, false, {-0.9f, 0.1f, 19});
  out.d = to_f16_finite(fit.scale * in.unit);
  out.m = to_f16_finite(fit.offset * in.unit);
  assign_codes(in.x, to_f32(out.d) / in.unit, to_f32(out.m) / in.unit, 0, top, 0, out.codes);
  return out;
}

}  // namespace tessera::quant
