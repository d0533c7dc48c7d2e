#include "kernels/cpu/linear_reference.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/check.h"
#include "kernels/cpu/linear_finish.h"
#include "kernels/cpu/linear_kernels.h"
#include "kernels/cpu/plain_block.h"
#include "kernels/cpu/scalar/f32x16.h"
#include "ops/gguf_linear.h"

namespace tessera::kernels::cpu {
namespace {

// One group under one scale; returns d_x.
float quantize_group(const float* x, int n, int8_t* q) {
  float amax = 0;
  for (int i = 0; i < n; ++i) amax = std::max(amax, std::fabs(x[i]));
  const float inverse = 127.0f / amax;
  for (int i = 0; i < n; ++i) {
    const float scaled = amax == 0 ? 0 : x[i] * inverse;
    // Written so that NaN becomes -127, as the vector instructions have it.
    const float above = scaled > -127.0f ? scaled : -127.0f;
    q[i] = static_cast<int8_t>(std::nearbyint(above < 127.0f ? above : 127.0f));
  }
  return amax / 127.0f;
}

int sum(const int8_t* q, int n) {
  int total = 0;
  for (int i = 0; i < n; ++i) total += q[i];
  return total;
}

float dot_256(const std::byte* row, const quant::Format& format, const ActivationView& x, int64_t token) {
  const PlainUnpackFn unpack = plain_unpack(format);
  float acc = 0;
  for (int64_t b = 0; b < x.k / 256; ++b) {
    PlainBlock w;
    unpack(row + b * format.block_bytes, w);
    const ActivationBlock256& a = x.blocks256[b * x.m + token];
    int32_t codes = 0, mins = 0;
    for (int i = 0; i < 256; ++i) codes += w.scale[i / 16] * w.code[i] * a.q[i];
    for (int j = 0; j < 16; ++j) mins += w.min[j] * sum(a.q + 16 * j, 16);
    if (w.has_min) {
      const float minus = -w.dmin * static_cast<float>(mins);
      acc = std::fma(a.d, std::fma(w.d, static_cast<float>(codes), minus), acc);
    } else {
      acc = std::fma(w.d * a.d, static_cast<float>(codes), acc);
    }
  }
  return acc;
}

float dot_small_blocks(const std::byte* row, const quant::Format& format, const ActivationView& x, int64_t token) {
  const PlainUnpackFn unpack = plain_unpack(format);
  float acc = 0;
  PlainBlock w;
  for (int64_t k = 0; k < x.k; k += w.group) {
    const int64_t i = k % format.block_values;
    if (i == 0) unpack(row + k / format.block_values * format.block_bytes, w);
    const ActivationBlock32x8& a = x.blocks32[k / 256 * x.m + token];
    const int8_t* q = a.q + k % 256;
    const float d = w.d * static_cast<float>(w.scale[i / 16]), d_x = a.d[k % 256 / 32];
    int32_t codes = 0;
    for (int j = 0; j < w.group; ++j) codes += w.code[i + j] * q[j];
    acc = std::fma(d * d_x, static_cast<float>(codes), acc);
    if (w.has_min) acc = std::fma(-(w.dmin * d_x), static_cast<float>(sum(q, w.group)), acc);
  }
  return acc;
}

float dot_groups(const AffineGroups& groups, const std::byte* codes, int64_t row, const ActivationView& x,
                 int64_t token) {
  const int center = center_of_codes(groups.bits);
  float acc = 0;
  for (int64_t b = 0; b < x.k / 32; ++b) {
    const ActivationBlock32x8& a = x.blocks32[b / 8 * x.m + token];
    const int8_t* q = a.q + b % 8 * 32;
    const int64_t group = (row * x.k + 32 * b) / groups.group_size;
    const float scale = groups.scale(group);
    const float offset = std::fma(static_cast<float>(center), scale, groups.bias(group));
    int32_t products = 0;
    for (int i = 0; i < 32; ++i)
      products += (static_cast<int>(code_at(codes, 32 * b + i, groups.bits)) - center) * q[i];
    acc = std::fma(scale * a.d[b % 8], static_cast<float>(products), acc);
    acc = std::fma(offset * a.d[b % 8], static_cast<float>(sum(q, 32)), acc);
  }
  return acc;
}

}  // namespace

void quantize_reference(const float* x, ActivationBlock256& out) {
  out = {};
  out.d = quantize_group(x, 256, out.q);
  for (int j = 0; j < 16; ++j) {
    out.sums16[j] = static_cast<int16_t>(sum(out.q + 16 * j, 16));
    out.minus_sums[j] = -out.sums16[j];
  }
  for (int j = 0; j < 8; ++j) out.sums32[j] = static_cast<int16_t>(sum(out.q + 32 * j, 32));
  for (int begin = 0; begin < 256; begin += 16) {
    int magnitude = 0;
    for (int i = begin; i < begin + 16; ++i) magnitude += std::abs(out.q[i]);
    out.most_magnitude16 = std::max(out.most_magnitude16, static_cast<int16_t>(magnitude));
  }
  const auto one_sided = [&](int begin, int end, auto counts) {
    int positive = 0, negative = 0;
    for (int i = begin; i < end; ++i)
      if (counts(i)) (out.q[i] > 0 ? positive : negative) += std::abs(out.q[i]);
    return static_cast<int16_t>(std::max(positive, negative));
  };
  for (int begin = 0; begin < 256; begin += 32)
    out.most_one_sided32 = std::max(out.most_one_sided32, one_sided(begin, begin + 32, [](int) { return true; }));
  for (int begin = 0; begin < 256; begin += 16)
    for (const int half : {0, 1})
      out.most_one_sided8 =
          std::max(out.most_one_sided8, one_sided(begin, begin + 16, [=](int i) { return i % 4 / 2 == half; }));
}

void quantize_reference(const float* x, int n_groups, ActivationBlock32x8& out) {
  out = {};
  for (int j = 0; j < n_groups; ++j) {
    out.d[j] = quantize_group(x + 32 * j, 32, out.q + 32 * j);
  }
  for (int j = 0; j < 16; ++j) out.sums16[j] = static_cast<int16_t>(sum(out.q + 16 * j, 16));
}

float dot_reference(const LinearWeight& weight, int64_t row, const ActivationView& x, int64_t token) {
  const std::byte* bytes = static_cast<const std::byte*>(weight.data) + row * weight.row_bytes();
  const ActivationForms integer = weight.forms(Arithmetic::kInt8);
  if (integer.blocks256 && x.blocks256) return dot_256(bytes, *weight.format, x, token);
  if (integer.blocks32 && x.blocks32)
    return weight.format ? dot_small_blocks(bytes, *weight.format, x, token)
                         : dot_groups(weight.groups, bytes, row, x, token);
  DCHECK(x.floats != nullptr);
  std::vector<float> values(static_cast<size_t>(weight.k));
  if (weight.format)
    weight.format->dequantize(bytes, weight.k, values.data());
  else
    dequantize(weight.groups, bytes, row, weight.k, 0, weight.k, values.data());
  return ops::dot_exact(values.data(), x.floats + token * x.float_stride, weight.k);
}

namespace scalar {
namespace {

void reference_tile(const LinearTile& tile) {
  const LinearWeight weight{
      .format = tile.format, .data = tile.weights, .n = tile.n_rows, .k = tile.x.k, .groups = tile.groups};
  for (int t = 0; t < tile.n_tokens; ++t)
    for (int r = 0; r < tile.n_rows; ++r) tile.out[tile.sums.of(r, t)] = dot_reference(weight, r, tile.x, t);
  finish<F32x16>(tile, 0, tile.n_rows, 0, tile.n_tokens);
}

}  // namespace

extern const LinearKernels kLinearKernels;
const LinearKernels kLinearKernels = {.packed = {},
                                      .affine = {},
                                      .least_panel_tokens = 0,
                                      .floats = {},
                                      .dequantized = reference_tile,
                                      .quantize256 = quantize_reference,
                                      .quantize32 = quantize_reference};

}  // namespace scalar
}  // namespace tessera::kernels::cpu
