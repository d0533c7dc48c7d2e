#include "compile/synth_weights.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/check.h"
#include "quant/iq1_m.h"
#include "quant/iq1_s.h"
#include "quant/iq2_s.h"
#include "quant/iq2_xs.h"
#include "quant/iq2_xxs.h"
#include "quant/iq3_s.h"
#include "quant/iq3_xxs.h"
#include "quant/iq4_nl.h"
#include "quant/iq4_xs.h"
#include "quant/mxfp4.h"
#include "quant/nvfp4.h"
#include "quant/q1_0.h"
#include "quant/q2_0.h"
#include "quant/q2_k.h"
#include "quant/q3_k.h"
#include "quant/q4_0.h"
#include "quant/q4_k.h"
#include "quant/q5_k.h"
#include "quant/q6_k.h"
#include "quant/q8_0.h"
#include "quant/scales_6bit.h"
#include "quant/tq1_0.h"
#include "quant/tq2_0.h"

namespace tessera::compile {
namespace {

using quant::GgmlType;

// The finalizer of SplitMix64 (Steele, Lea, Flood 2014): a bijection whose outputs over a counter pass as random.
constexpr uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

constexpr uint64_t random_word(uint64_t key, uint64_t counter) { return mix(key + counter * 0x9e3779b97f4a7c15u); }

// A block's random bytes: all of them first, then each format overwrites its scales with sane ones. One more word, for
// those scales, is left over.
template <typename Block>
struct RandomBlock {
  static constexpr size_t kWords = (sizeof(Block) + 7) / 8 + 1;
  RandomBlock(uint64_t key, uint64_t index) : is_odd(index % 2 != 0) {
    for (size_t i = 0; i < kWords; ++i) words[i] = random_word(key, index * kWords + i);
    std::memcpy(static_cast<void*>(&block), words.data(), sizeof(Block));
  }
  uint64_t spare() const { return words[kWords - 1]; }

  bool is_odd;
  std::array<uint64_t, kWords> words;
  Block block;
};

// A factor of 0.75 .. 1.25 on a block's scale, in 16 steps; its root mean square is close to 1.
constexpr float scale_factor(uint64_t bits) { return 0.765625f + 0.03125f * static_cast<float>(bits & 15); }

// In the comments below q is uniform over its range, so its deviation is sqrt((n^2 - 1) / 12) for n codes.

// Sub-block scales of 32..63 (root mean square 48.4) and mins that differ from them in the low two bits: with
// dmin = d * (mean of q) the weights are centred up to that difference. Shared by Q4_K and Q5_K.
template <typename Block>
void set_affine_scales(RandomBlock<Block>& random, float d, float mean_code) {
  std::array<uint8_t, 8> scales, mins;
  std::memcpy(scales.data(), random.block.scales, 8);  // still random bytes
  const uint64_t low_bits = random.spare() >> 8;
  for (size_t j = 0; j < 8; ++j) {
    scales[j] = static_cast<uint8_t>(32 | (scales[j] & 31));
    mins[j] = static_cast<uint8_t>(scales[j] ^ ((low_bits >> (2 * j)) & 3));
  }
  quant::pack_scales_6bit(scales.data(), mins.data(), random.block.scales);
  d *= scale_factor(random.spare());
  random.block.d = to_f16(d);
  random.block.dmin = to_f16(d * mean_code);
}

constexpr float kAffineScaleRms = 48.4f;

void shape(RandomBlock<quant::Q4_K>& random, float std_dev) {
  set_affine_scales(random, std_dev / (kAffineScaleRms * 4.61f), 7.5f);
}

void shape(RandomBlock<quant::Q5_K>& random, float std_dev) {
  set_affine_scales(random, std_dev / (kAffineScaleRms * 9.23f), 15.5f);
}

// Scales of either sign and magnitude 64..127 (root mean square 97.3).
void shape(RandomBlock<quant::Q6_K>& random, float std_dev) {
  for (int8_t& scale : random.block.scales) {
    const int magnitude = 64 | (scale & 63);
    scale = static_cast<int8_t>(scale < 0 ? -magnitude : magnitude);
  }
  random.block.d = to_f16(std_dev / (97.3f * 18.5f) * scale_factor(random.spare()));
}

// A quantizer never makes -128: the largest value becomes +-127.
void shape(RandomBlock<quant::Q8_0>& random, float std_dev) {
  for (int8_t& code : random.block.qs) code = std::max<int8_t>(code, -127);
  random.block.d = to_f16(std_dev / 73.6f * scale_factor(random.spare()));
}

// d has the sign of the value of largest magnitude, hence either sign.
void shape(RandomBlock<quant::Q4_0>& random, float std_dev) {
  const float sign = (random.spare() >> 8) & 1 ? -1.0f : 1.0f;
  random.block.d = to_f16(sign * std_dev / 4.64f * scale_factor(random.spare()));
}

constexpr float kE2M1Rms = 5.85f;  // of the doubled levels

// Powers of two: the smaller and the greater one as often as their mean square asks for.
void shape(RandomBlock<quant::MXFP4>& random, float std_dev) {
  const float scale = 2 * std_dev / kE2M1Rms;
  const int exponent = static_cast<int>(std::floor(std::log2(scale)));
  const float over = scale / std::ldexp(1.0f, exponent);  // 1 to 2
  const bool greater = static_cast<float>(random.spare() & 0xffff) * 0x1p-16f * 3 < over * over - 1;
  random.block.e = static_cast<uint8_t>(std::clamp(exponent + greater + 127, 0, 254));
}

// An E4M3 is the upper bits of a float whose exponent is less by 120.
void shape(RandomBlock<quant::NVFP4>& random, float std_dev) {
  for (size_t s = 0; s < 4; ++s) {
    const float scale = 2 * std_dev / kE2M1Rms * scale_factor(random.spare() >> (4 * s));
    const int rounded = (std::bit_cast<int>(scale) - (120 << 23) + (1 << 19)) >> 20;
    random.block.d[s] = static_cast<uint8_t>(std::clamp(rounded, 1, 0x7e));
  }
}

template <typename Block>
void set_scale(Block& block, float d) {
  block.d = to_f16(d);
}

// With mins like the scales the weights are centred.
void set_scale(quant::Q2_K& block, float d) {
  for (uint8_t& scale : block.scales) scale = static_cast<uint8_t>((scale & 15) * 0x11);
  block.d = to_f16(d);
  block.dmin = to_f16(1.5f * d);
}

void set_scale(quant::IQ1_M& block, float d) {
  const F16 half = to_f16(d);
  for (int w = 0; w < 4; ++w)
    block.scales[w] = static_cast<uint16_t>((block.scales[w] & 0xfff) | ((half.bits >> 4 * w) & 15) << 12);
}

// Every other one negative, as the codes of some formats have another mean than 0.
template <typename Block>
void shape(RandomBlock<Block>& random, float std_dev) {
  std::array<float, Block::kValues> values;
  set_scale(random.block, 1);
  dequantize(random.block, values.data());
  float squares = 0;
  for (const float value : values) squares += value * value;
  const float sign = random.is_odd ? -1.0f : 1.0f;
  const float rms = std::sqrt(squares / Block::kValues);
  set_scale(random.block, sign * std_dev / rms * scale_factor(random.spare()));
}

template <typename Block>
void draw_blocks(uint64_t key, float std_dev, int64_t first_value, int64_t n_values, void* out) {
  auto* bytes = static_cast<std::byte*>(out);
  const int64_t first = first_value / Block::kValues, n = n_values / Block::kValues;
  for (int64_t i = 0; i < n; ++i) {
    RandomBlock<Block> random(key, static_cast<uint64_t>(first + i));
    shape(random, std_dev);
    std::memcpy(bytes + static_cast<size_t>(i) * sizeof(Block), &random.block, sizeof(Block));
  }
}

using DrawFn = void (*)(uint64_t key, float std_dev, int64_t first_value, int64_t n_values, void* out);

struct DirectFormat {
  GgmlType type;
  DrawFn draw;
};

// The rest goes through values and the format's quantizer, some hundred times slower than what the mixes are made of.
constexpr DirectFormat kDirectFormats[] = {
    {GgmlType::kQ4_K, draw_blocks<quant::Q4_K>},       {GgmlType::kQ5_K, draw_blocks<quant::Q5_K>},
    {GgmlType::kQ6_K, draw_blocks<quant::Q6_K>},       {GgmlType::kQ8_0, draw_blocks<quant::Q8_0>},
    {GgmlType::kQ4_0, draw_blocks<quant::Q4_0>},       {GgmlType::kQ2_K, draw_blocks<quant::Q2_K>},
    {GgmlType::kQ3_K, draw_blocks<quant::Q3_K>},       {GgmlType::kIQ1_S, draw_blocks<quant::IQ1_S>},
    {GgmlType::kIQ1_M, draw_blocks<quant::IQ1_M>},     {GgmlType::kIQ2_XXS, draw_blocks<quant::IQ2_XXS>},
    {GgmlType::kIQ2_XS, draw_blocks<quant::IQ2_XS>},   {GgmlType::kIQ2_S, draw_blocks<quant::IQ2_S>},
    {GgmlType::kIQ3_XXS, draw_blocks<quant::IQ3_XXS>}, {GgmlType::kIQ3_S, draw_blocks<quant::IQ3_S>},
    {GgmlType::kIQ4_NL, draw_blocks<quant::IQ4_NL>},   {GgmlType::kIQ4_XS, draw_blocks<quant::IQ4_XS>},
    {GgmlType::kTQ1_0, draw_blocks<quant::TQ1_0>},     {GgmlType::kTQ2_0, draw_blocks<quant::TQ2_0>},
    {GgmlType::kMXFP4, draw_blocks<quant::MXFP4>},     {GgmlType::kNVFP4, draw_blocks<quant::NVFP4>},
    {GgmlType::kQ1_0, draw_blocks<quant::Q1_0>},       {GgmlType::kQ2_0, draw_blocks<quant::Q2_0>},
};

void draw_values(uint64_t key, WeightDistribution distribution, int64_t first_value, std::span<float> out) {
  const float half_width = distribution.std_dev * 1.7320508f;  // of a uniform distribution
  for (size_t i = 0; i < out.size(); ++i) {
    const uint64_t word = random_word(key, static_cast<uint64_t>(first_value) + i);
    const float unit = static_cast<float>(static_cast<int32_t>(word >> 32)) * 0x1p-31f;  // in [-1, 1]
    out[i] = distribution.mean + half_width * unit;
  }
}

}  // namespace

uint64_t weight_key(uint64_t seed, std::string_view tensor_name) {
  uint64_t key = mix(seed + 1);
  for (const char c : tensor_name) key = mix(key ^ static_cast<unsigned char>(c)) + 1;
  return key;
}

void draw_weights(const quant::Format& format, uint64_t key, WeightDistribution distribution, int64_t first_value,
                  int64_t n_values, void* out) {
  DCHECK(first_value % format.block_values == 0 && n_values % format.block_values == 0);
  for (const DirectFormat& direct : kDirectFormats) {
    if (direct.type != format.type) continue;
    return direct.draw(key, distribution.std_dev, first_value, n_values, out);
  }
  CHECK(format.quantize);
  std::vector<float> values(static_cast<size_t>(n_values));
  draw_values(key, distribution, first_value, values);
  format.quantize(values.data(), n_values, out);
}

}  // namespace tessera::compile
