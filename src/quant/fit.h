// The searches behind every quantizer: given values and weights, which scale (and offset) represent them best once
// each value is rounded to the nearest code? Written once, for any block length that is a multiple of 4.
//
// Both searches try a range of scales around the one that maps the extreme value to the extreme code. A trial fixes the
// codes; weighted least squares then gives the best parameters for those codes in closed form. Source of the idea:
// llama.cpp's k-quant quantizers; the last refinement (codes again from the best fit, parameters again) is ours.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "base/float16.h"
#include "quant/simd4.h"

namespace tessera::quant {

// Values made safe to fit: NaN is 0, magnitudes are clamped to kMaxMagnitude, and all are divided by `unit`, a power of
// two that puts the largest in [1, 2), so that no sum of products over- or underflows. All zero: unit is 0.
template <int kCount>
struct Prepared {
  // Above any magnitude a block can hold (Q6_K: 65504 * 128 * 32), so that nothing representable is clamped.
  static constexpr float kMaxMagnitude = 0x1p28f;
  // Below it every f16 scale of every format is zero.
  static constexpr float kMinMagnitude = 0x1p-40f;

  explicit Prepared(const float* values) {
    float peak = 0;
    for (int i = 0; i < kCount; ++i) {
      const float v = std::isnan(values[i]) ? 0.0f : std::clamp(values[i], -kMaxMagnitude, kMaxMagnitude);
      x[i] = v;
      peak = std::max(peak, std::fabs(v));
    }
    if (peak < kMinMagnitude) {
      std::fill_n(x, kCount, 0.0f);
      return;
    }
    unit = std::bit_cast<float>(std::bit_cast<uint32_t>(peak) & 0x7f800000u);
    const float inverse = 1.0f / unit;
    for (float& v : x) v *= inverse;
  }

  alignas(16) float x[kCount];
  float unit = 0;
};

// A scale in f16, the largest finite one where it would be infinite.
inline F16 to_f16_finite(float value) { return to_f16(std::clamp(value, -65504.0f, 65504.0f)); }

// 1 / x, and 0 for 0: a zero scale maps every value to code 0.
inline float inverse_or_zero(float x) { return x != 0 ? 1.0f / x : 0.0f; }

// weights[i] = rms + |x[i]|: an error on a large value costs more, between squared and relative error. llama.cpp weighs
// Q4_K and Q5_K so where it has no importance matrix; plain squares would lower the rmse of Gaussian values by another
// 0.8 %, and x^2 (its choice for Q6_K) raises it by 2 %.
template <int kCount>
void weigh(const float* x, float* weights) {
  Float4 squares{};
  for (int i = 0; i < kCount; i += 4) squares += load4(x + i) * load4(x + i);
  const float rms = std::sqrt(sum4(squares) / kCount);
  for (int i = 0; i < kCount; ++i) weights[i] = rms + std::fabs(x[i]);
}

// Scales tried are extent / (max_code + shift) for shift = first, first + step, ... (n_trials of them).
struct Trials {
  float first, step;
  int n_trials;
};

// value ~ scale * code + offset, code in 0..max_code, scale >= 0.
struct AffineFit {
  float scale = 0, offset = 0;
};

namespace detail {

struct AffineSums {
  float w = 0, x = 0, xx = 0;   // weights, weighted values, weighted squares
  float q = 0, qq = 0, xq = 0;  // the same with codes

  // Sum of w * (scale * q + offset - x)^2.
  float error(AffineFit f) const {
    return f.scale * (f.scale * qq + 2 * (f.offset * q - xq)) + f.offset * (f.offset * w - 2 * x) + xx;
  }
};

template <int kCount>
void add_code_sums(const float* x, const float* w, AffineFit fit, float max_code, AffineSums& sums) {
  const Float4 inverse = splat4(inverse_or_zero(fit.scale)), offset = splat4(fit.offset);
  const Float4 zero{}, top = splat4(max_code);
  Float4 q_sum{}, qq_sum{}, xq_sum{};
  for (int i = 0; i < kCount; i += 4) {
    const Float4 xi = load4(x + i);
    const Float4 q = round4(min4(max4((xi - offset) * inverse, zero), top));
    const Float4 wq = load4(w + i) * q;
    q_sum += wq;
    qq_sum += wq * q;
    xq_sum += wq * xi;
  }
  sums.q = sum4(q_sum);
  sums.qq = sum4(qq_sum);
  sums.xq = sum4(xq_sum);
}

// The least-squares parameters for the codes in `sums`; scale <= 0 when there are none.
inline AffineFit solve(const AffineSums& s, bool offset_at_most_zero) {
  const float determinant = s.w * s.qq - s.q * s.q;
  if (!(determinant > 0)) return {};
  AffineFit fit{(s.w * s.xq - s.x * s.q) / determinant, (s.qq * s.x - s.q * s.xq) / determinant};
  if (offset_at_most_zero && fit.offset > 0) fit = {s.xq / s.qq, 0.0f};
  return fit;
}

}  // namespace detail

// With `offset_at_most_zero` the offset is what k-quants can store: the negative of a min >= 0.
template <int kCount>
AffineFit fit_affine(const float* x, const float* w, float max_code, bool offset_at_most_zero, Trials trials) {
  float low = *std::min_element(x, x + kCount), high = *std::max_element(x, x + kCount);
  if (offset_at_most_zero) low = std::min(low, 0.0f);
  if (!(high > low)) return {0.0f, low};

  detail::AffineSums sums;
  for (int i = 0; i < kCount; ++i) {
    sums.w += w[i];
    sums.x += w[i] * x[i];
    sums.xx += w[i] * x[i] * x[i];
  }
  AffineFit best{(high - low) / max_code, low};
  detail::add_code_sums<kCount>(x, w, best, max_code, sums);
  float best_error = sums.error(best);
  const auto try_codes_of = [&](AffineFit guess) {
    detail::add_code_sums<kCount>(x, w, guess, max_code, sums);
    const AffineFit fit = detail::solve(sums, offset_at_most_zero);
    const float error = sums.error(fit);
    if (!(fit.scale > 0) || !(error < best_error)) return false;
    best = fit;
    best_error = error;
    return true;
  };
  for (int t = 0; t < trials.n_trials; ++t) {
    // Scales that do not reach over the whole extent clip it: at the high end in even trials, at the low end in odd
    // ones. Q5_1, Gaussian: 3.34 % relative error; always at the high end 3.37 %, half at each end 3.48 %.
    const float scale = (high - low) / (max_code + trials.first + trials.step * static_cast<float>(t));
    try_codes_of({scale, t % 2 == 0 ? low : high - scale * max_code});
  }
  for (int i = 0; i < 4 && try_codes_of(best); ++i) {
  }
  return best;
}

// value ~ scale * code, code in -n .. n - 1; the scale may be negative, so that the peak can take the code -n.
template <int kCount>
float fit_symmetric(const float* x, const float* w, float n, Trials trials) {
  float peak = 0;
  for (int i = 0; i < kCount; ++i)
    if (std::fabs(x[i]) > std::fabs(peak)) peak = x[i];
  if (peak == 0) return 0;

  float best = 0, best_merit = 0;  // merit: by how much the fit lowers the weighted error of all zeros
  const auto try_codes_of = [&](float inverse_scale) {
    const Float4 inverse = splat4(inverse_scale), bottom = splat4(-n), top = splat4(n - 1);
    Float4 xq_sum{}, qq_sum{};
    for (int i = 0; i < kCount; i += 4) {
      const Float4 xi = load4(x + i);
      const Float4 q = round4(min4(max4(xi * inverse, bottom), top));
      const Float4 wq = load4(w + i) * q;
      xq_sum += wq * xi;
      qq_sum += wq * q;
    }
    const float xq = sum4(xq_sum), qq = sum4(qq_sum);
    if (!(qq > 0)) return false;
    const float scale = xq / qq, merit = xq * scale;
    if (!(merit > best_merit)) return false;
    best = scale;
    best_merit = merit;
    return true;
  };
  for (int t = 0; t < trials.n_trials; ++t) {
    try_codes_of(-(n + trials.first + trials.step * static_cast<float>(t)) / peak);
  }
  for (int i = 0; i < 4 && try_codes_of(1.0f / best); ++i) {
  }
  return best;
}

}  // namespace tessera::quant
