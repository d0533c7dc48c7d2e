#include "quant/k_affine.h"

#include "quant/fit.h"

namespace tessera::quant {
namespace {

constexpr int kValues = 256, kSubBlock = 32, kSubBlocks = 8;
constexpr int kMaxScale = 63;  // scales and mins have 6 bits
// Relative error of Gaussian values in Q4_K, %: no descent 7.15, descent 7.06, and 1 or 2 refits 7.045, 7.041. Passes
// beyond the second change nothing.
constexpr int kDescentPasses = 2, kRefits = 2;

// One super-block while its numbers are sought, in the units of `Prepared`.
struct Search {
  Search(const float* values, int codes) : in(values), max_code(static_cast<float>(codes)) {}

  Prepared<kValues> in;
  alignas(16) float weights[kValues];
  float max_code;
  F16 d_bits, dmin_bits;  // what will be stored,
  float d = 0, dmin = 0;  // and what it stands for here
  int scales[kSubBlocks] = {}, mins[kSubBlocks] = {};
};

void set_d(Search& s, float d) {
  s.d_bits = to_f16_finite(d * s.in.unit);
  s.d = to_f32(s.d_bits) / s.in.unit;
}

void set_dmin(Search& s, float dmin) {
  s.dmin_bits = to_f16_finite(dmin * s.in.unit);
  s.dmin = to_f32(s.dmin_bits) / s.in.unit;
}

int nearest_scale(float value, float step) {
  return static_cast<int>(std::clamp(value * inverse_or_zero(step) + 0.5f, 0.0f, static_cast<float>(kMaxScale)));
}

// Weighted squared error of sub-block j with these integers, each value taking its nearest code.
float error_of(const Search& s, int j, int scale, int min) {
  const Float4 step = splat4(s.d * static_cast<float>(scale)), offset = splat4(s.dmin * static_cast<float>(min));
  const Float4 inverse = splat4(inverse_or_zero(step[0])), zero{}, top = splat4(s.max_code);
  const float* x = s.in.x + kSubBlock * j;
  const float* w = s.weights + kSubBlock * j;
  Float4 sum{};
  for (int i = 0; i < kSubBlock; i += 4) {
    const Float4 shifted = load4(x + i) + offset;
    const Float4 q = round4(min4(max4(shifted * inverse, zero), top));
    const Float4 e = q * step - shifted;
    sum += load4(w + i) * e * e;
  }
  return sum4(sum);
}

// Walks (scale, min) of sub-block j downhill over the eight neighbours, by the true error of the stored block.
void descend(Search& s, int j) {
  float best = error_of(s, j, s.scales[j], s.mins[j]);
  for (int pass = 0; pass < kDescentPasses; ++pass) {
    const int scale = s.scales[j], min = s.mins[j];
    for (int ds = -1; ds <= 1; ++ds) {
      for (int dm = -1; dm <= 1; ++dm) {
        const int a = scale + ds, b = min + dm;
        if ((ds == 0 && dm == 0) || a < 0 || a > kMaxScale || b < 0 || b > kMaxScale) continue;
        const float error = error_of(s, j, a, b);
        if (error < best) {
          best = error;
          s.scales[j] = a;
          s.mins[j] = b;
        }
      }
    }
    if (s.scales[j] == scale && s.mins[j] == min) return;
  }
}

void assign_codes(const Search& s, int j, uint8_t* codes) {
  const float step = s.d * static_cast<float>(s.scales[j]), offset = s.dmin * static_cast<float>(s.mins[j]);
  const float inverse = inverse_or_zero(step);
  alignas(16) float q[kSubBlock];
  for (int i = 0; i < kSubBlock; i += 4) {
    const Float4 shifted = (load4(s.in.x + kSubBlock * j + i) + splat4(offset)) * splat4(inverse);
    store4(q + i, round4(min4(max4(shifted, Float4{}), splat4(s.max_code))));
  }
  for (int i = 0; i < kSubBlock; ++i) codes[i] = static_cast<uint8_t>(q[i]);
}

// d and dmin again, by least squares for the codes, scales and mins at hand: value ~ d * (scale * code) - dmin * min.
void refit(Search& s) {
  float aa = 0, ab = 0, bb = 0, ax = 0, bx = 0;
  for (int j = 0; j < kSubBlocks; ++j) {
    uint8_t codes[kSubBlock];
    assign_codes(s, j, codes);
    const float b = -static_cast<float>(s.mins[j]);
    for (int i = 0; i < kSubBlock; ++i) {
      const float w = s.weights[kSubBlock * j + i], x = s.in.x[kSubBlock * j + i];
      const float a = static_cast<float>(s.scales[j] * codes[i]);
      aa += w * a * a;
      ab += w * a * b;
      bb += w * b * b;
      ax += w * a * x;
      bx += w * b * x;
    }
  }
  const float determinant = aa * bb - ab * ab;
  if (determinant > 1e-6f * aa * bb) {
    set_d(s, (ax * bb - bx * ab) / determinant);
    set_dmin(s, std::max(0.0f, (bx * aa - ax * ab) / determinant));
  } else if (aa > 0) {  // no mins, or the mins are proportional to the rest
    set_d(s, (ax - ab * s.dmin) / aa);
  }
}

// The best scale and offset of each sub-block for itself, then rounded to multiples of a common d and dmin.
void fit_sub_blocks(Search& s) {
  // Trials reach further down with few codes, where clipping the extremes pays.
  const Trials trials = s.max_code < 16 ? Trials{-1.0f, 0.1f, 21} : Trials{-0.5f, 0.1f, 16};
  AffineFit fits[kSubBlocks];
  float top_scale = 0, top_min = 0;
  for (int j = 0; j < kSubBlocks; ++j) {
    const int begin = kSubBlock * j;
    weigh<kSubBlock>(s.in.x + begin, s.weights + begin);
    fits[j] = fit_affine<kSubBlock>(s.in.x + begin, s.weights + begin, s.max_code, true, trials);
    top_scale = std::max(top_scale, fits[j].scale);
    top_min = std::max(top_min, -fits[j].offset);
  }
  set_d(s, top_scale / kMaxScale);
  set_dmin(s, top_min / kMaxScale);
  for (int j = 0; j < kSubBlocks; ++j) {
    s.scales[j] = nearest_scale(fits[j].scale, s.d);
    s.mins[j] = nearest_scale(-fits[j].offset, s.dmin);
  }
}

}  // namespace

AffineSuperBlock fit_super_block(const float* values, int max_code) {
  AffineSuperBlock out{};
  Search s(values, max_code);
  if (s.in.unit == 0) return out;
  fit_sub_blocks(s);
  for (int round = 0;; ++round) {
    for (int j = 0; j < kSubBlocks; ++j) descend(s, j);
    if (round == kRefits) break;
    refit(s);
  }
  for (int j = 0; j < kSubBlocks; ++j) {
    assign_codes(s, j, out.codes + kSubBlock * j);
    out.scales[j] = static_cast<uint8_t>(s.scales[j]);
    out.mins[j] = static_cast<uint8_t>(s.mins[j]);
  }
  out.d = s.d_bits;
  out.dmin = s.dmin_bits;
  return out;
}

void dequantize(const AffineSuperBlock& block, float* out) {
  const float d = to_f32(block.d), dmin = to_f32(block.dmin);
  for (int j = 0; j < kSubBlocks; ++j) {
    const float scale = d * static_cast<float>(block.scales[j]), min = dmin * static_cast<float>(block.mins[j]);
    for (int i = kSubBlock * j; i < kSubBlock * (j + 1); ++i) out[i] = scale * static_cast<float>(block.codes[i]) - min;
  }
}

}  // namespace tessera::quant
