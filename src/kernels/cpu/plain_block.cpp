#include "kernels/cpu/plain_block.h"

#include <algorithm>
#include <cstring>

#include "quant/iq1_m.h"
#include "quant/iq1_s.h"
#include "quant/iq2_s.h"
#include "quant/iq2_xs.h"
#include "quant/iq2_xxs.h"
#include "quant/iq3_s.h"
#include "quant/iq3_xxs.h"
#include "quant/iq4_nl.h"
#include "quant/iq4_xs.h"
#include "quant/iq_codebooks.h"
#include "quant/mxfp4.h"
#include "quant/nvfp4.h"
#include "quant/q1_0.h"
#include "quant/q2_0.h"
#include "quant/q2_k.h"
#include "quant/q3_k.h"
#include "quant/q4_0.h"
#include "quant/q4_1.h"
#include "quant/q4_k.h"
#include "quant/q5_0.h"
#include "quant/q5_1.h"
#include "quant/q5_k.h"
#include "quant/q6_k.h"
#include "quant/q8_0.h"
#include "quant/scales_6bit.h"
#include "quant/tq1_0.h"
#include "quant/tq2_0.h"

namespace tessera::kernels::cpu {
namespace {

using namespace quant;  // NOLINT: the layouts of every format, by name

void set_scales(PlainBlock& out, float d) {
  out.group = 32;
  std::fill_n(out.scale, 16, 1);
  std::fill_n(out.min, 16, 0);
  out.d = d;
  out.dmin = 0;
  out.has_min = false;
}

// value 32r' + l of a K format's 4-bit part: byte l of run r, low nibble first.
int nibble_in_runs(const uint8_t* qs, int i) { return (qs[32 * (i / 64) + i % 32] >> (4 * (i / 32 % 2))) & 15; }
// value j of the 32-value formats: byte j's low nibble, then the high ones.
int nibble_split_16(const uint8_t* qs, int i) { return (qs[i % 16] >> (4 * (i / 16))) & 15; }
int bit_of(const uint8_t* bits, int i) { return (bits[i / 8] >> (i % 8)) & 1; }
int two_bits(const uint8_t* qs, int i) { return (qs[32 * (i / 128) + i % 32] >> (2 * (i % 128 / 32))) & 3; }
int nibble(const uint8_t* qs, int i) { return (qs[i / 2] >> (4 * (i % 2))) & 15; }

// Values 8 g .. 8 g + 7: magnitudes of an entry of a codebook; bit i of `signs`: value i is negative.
void set_eight(PlainBlock& out, int g, uint16_t entry, unsigned signs) {
  for (int i = 0; i < 8; ++i) {
    const int magnitude = kIQ2Magnitudes[(entry >> 2 * i) & 3];
    out.code[8 * g + i] = static_cast<int16_t>((signs >> i) & 1 ? -magnitude : magnitude);
  }
}
// Values 4 g .. 4 g + 3.
void set_four(PlainBlock& out, int g, uint16_t entry, const uint8_t (&magnitudes)[8], unsigned signs) {
  for (int i = 0; i < 4; ++i) {
    const int magnitude = magnitudes[(entry >> 3 * i) & 7];
    out.code[4 * g + i] = static_cast<int16_t>((signs >> i) & 1 ? -magnitude : magnitude);
  }
}
// Values 8 g .. 8 g + 7 in eighths: -1, 0 or 1, and an eighth more or less.
void set_ternary(PlainBlock& out, int g, uint16_t entry, bool less) {
  for (int i = 0; i < 8; ++i)
    out.code[8 * g + i] = static_cast<int16_t>(8 * (((entry >> 2 * i) & 3) - 1) + (less ? -1 : 1));
}

template <typename Block>
void set_6bit_scales(const Block& b, PlainBlock& out) {
  set_scales(out, to_f32(b.d));
  uint8_t scales[8], mins[8];
  unpack_scales_6bit(b.scales, scales, mins);
  for (int j = 0; j < 16; ++j) out.scale[j] = scales[j / 2], out.min[j] = mins[j / 2];
  out.dmin = to_f32(b.dmin);
  out.has_min = true;
}

void unpack(const Q2_K& b, PlainBlock& out) {
  set_scales(out, to_f32(b.d));
  for (int i = 0; i < 256; ++i) out.code[i] = static_cast<int16_t>(two_bits(b.qs, i));
  for (int j = 0; j < 16; ++j) out.scale[j] = b.scales[j] & 15, out.min[j] = b.scales[j] >> 4;
  out.dmin = to_f32(b.dmin);
  out.has_min = true;
}

void unpack(const Q3_K& b, PlainBlock& out) {
  set_scales(out, to_f32(b.d));
  for (int i = 0; i < 256; ++i)
    out.code[i] = static_cast<int16_t>(two_bits(b.qs, i) + 4 * ((b.hmask[i % 32] >> (i / 32)) & 1) - 4);
  for (int j = 0; j < 16; ++j) {
    const int low = j < 8 ? b.scales[j] & 15 : b.scales[j - 8] >> 4;
    out.scale[j] = low + 16 * ((b.scales[8 + j % 4] >> (2 * (j / 4))) & 3) - 32;
  }
}

void unpack(const Q4_K& b, PlainBlock& out) {
  set_6bit_scales(b, out);
  for (int i = 0; i < 256; ++i) out.code[i] = static_cast<int16_t>(nibble_in_runs(b.qs, i));
}

void unpack(const Q5_K& b, PlainBlock& out) {
  set_6bit_scales(b, out);
  for (int i = 0; i < 256; ++i)
    out.code[i] = static_cast<int16_t>(nibble_in_runs(b.qs, i) + 16 * ((b.qh[i % 32] >> (i / 32)) & 1));
}

void unpack(const Q6_K& b, PlainBlock& out) {
  set_scales(out, to_f32(b.d));
  for (int i = 0; i < 256; ++i) {
    const uint8_t low = b.ql[64 * (i / 128) + i % 64];
    const int nibble = i % 128 < 64 ? low & 15 : low >> 4;
    out.code[i] = static_cast<int16_t>(nibble + 16 * two_bits(b.qh, i) - 32);
  }
  for (int j = 0; j < 16; ++j) out.scale[j] = b.scales[j];
}

void unpack(const IQ4_XS& b, PlainBlock& out) {
  set_scales(out, to_f32(b.d));
  for (int i = 0; i < 256; ++i) out.code[i] = kIQ4Levels[nibble_split_16(b.qs + 16 * (i / 32), i % 32)];
  for (int j = 0; j < 16; ++j) {
    const int s = j / 2;  // the sub-block of 32
    out.scale[j] = ((b.scales_l[s / 2] >> (4 * (s % 2))) & 15) + 16 * ((b.scales_h >> (2 * s)) & 3) - 32;
  }
}

void unpack(const IQ2_XXS& b, PlainBlock& out) {
  set_scales(out, to_f32(b.d) * 0.125f);
  for (int j = 0; j < 8; ++j) {
    const uint16_t* record = b.qs + 4 * j;
    const uint32_t signs = record[2] | uint32_t{record[3]} << 16;
    for (int t = 0; t < 4; ++t) {
      const int index = (record[t / 2] >> (8 * (t % 2))) & 255;
      set_eight(out, 4 * j + t, kIQ2_XXS_grid[index], signs_of_field(signs >> 7 * t));
    }
    out.scale[2 * j] = out.scale[2 * j + 1] = static_cast<int>(2 * (signs >> 28) + 1);
  }
}

void unpack(const IQ2_XS& b, PlainBlock& out) {
  set_scales(out, to_f32(b.d) * 0.125f);
  for (int g = 0; g < 32; ++g) set_eight(out, g, kIQ2_XS_grid[b.qs[g] & 511], signs_of_field(b.qs[g] >> 9));
  for (int j = 0; j < 16; ++j) out.scale[j] = 2 * nibble(b.scales, j) + 1;
}

void unpack(const IQ2_S& b, PlainBlock& out) {
  set_scales(out, to_f32(b.d) * 0.125f);
  for (int g = 0; g < 32; ++g)
    set_eight(out, g, kIQ2_S_grid[b.qs[g] + 256 * ((b.qh[g / 4] >> (2 * (g % 4))) & 3)], b.signs[g]);
  for (int j = 0; j < 16; ++j) out.scale[j] = 2 * nibble(b.scales, j) + 1;
}

void unpack(const IQ3_XXS& b, PlainBlock& out) {
  set_scales(out, to_f32(b.d) * 0.25f);
  for (int j = 0; j < 8; ++j) {
    uint32_t signs;
    std::memcpy(&signs, b.signs + 4 * j, 4);
    for (int t = 0; t < 8; ++t) {
      const unsigned of_group = signs_of_field(signs >> 7 * (t / 2)) >> 4 * (t % 2);
      set_four(out, 8 * j + t, kIQ3_XXS_grid[b.qs[8 * j + t]], kIQ3_XXS_magnitudes, of_group);
    }
    out.scale[2 * j] = out.scale[2 * j + 1] = static_cast<int>(2 * (signs >> 28) + 1);
  }
}

void unpack(const IQ3_S& b, PlainBlock& out) {
  set_scales(out, to_f32(b.d));
  for (int g = 0; g < 64; ++g)
    set_four(out, g, kIQ3_S_grid[b.qs[g] + 256 * bit_of(b.qh, g)], kIQ3_S_magnitudes,
             static_cast<unsigned>(nibble(b.signs, g)));
  for (int j = 0; j < 16; ++j) out.scale[j] = 2 * nibble(b.scales, j / 2) + 1;
}

void unpack(const IQ1_S& b, PlainBlock& out) {
  set_scales(out, to_f32(b.d) * kIQ1Delta);
  for (int g = 0; g < 32; ++g) {
    const int qh = b.qh[g / 4];
    set_ternary(out, g, kIQ1_grid[b.qs[g] + 256 * ((qh >> (3 * (g % 4))) & 7)], qh >> 15);
  }
  for (int j = 0; j < 16; ++j) out.scale[j] = 2 * ((b.qh[j / 2] >> 12) & 7) + 1;
}

void unpack(const IQ1_M& b, PlainBlock& out) {
  set_scales(out, to_f32(scale_of(b)) * kIQ1Delta);
  for (int g = 0; g < 32; ++g) {
    const int qh = nibble(b.qh, g);
    set_ternary(out, g, kIQ1_grid[b.qs[g] + 256 * (qh & 7)], qh >> 3);
  }
  for (int j = 0; j < 16; ++j) out.scale[j] = 2 * ((b.scales[j / 4] >> (3 * (j % 4))) & 7) + 1;
}

void unpack(const TQ1_0& b, PlainBlock& out) {
  set_scales(out, to_f32(b.d));
  const auto digit = [](int byte, int n) {
    for (; n > 0; --n) byte = 3 * byte % 256;
    return static_cast<int16_t>(3 * byte / 256 - 1);
  };
  for (int i = 0; i < 160; ++i) out.code[i] = digit(b.qs[i % 32], i / 32);
  for (int i = 0; i < 80; ++i) out.code[160 + i] = digit(b.qs[32 + i % 16], i / 16);
  for (int i = 0; i < 16; ++i) out.code[240 + i] = digit(b.qh[i % 4], i / 4);
}

void unpack(const TQ2_0& b, PlainBlock& out) {
  set_scales(out, to_f32(b.d));
  for (int i = 0; i < 256; ++i) out.code[i] = static_cast<int16_t>(two_bits(b.qs, i) - 1);
}

void unpack(const Q4_0& b, PlainBlock& out) {
  set_scales(out, to_f32(b.d));
  for (int i = 0; i < 32; ++i) out.code[i] = static_cast<int16_t>(nibble_split_16(b.qs, i) - 8);
}

void unpack(const Q4_1& b, PlainBlock& out) {
  set_scales(out, to_f32(b.d));
  for (int i = 0; i < 32; ++i) out.code[i] = static_cast<int16_t>(nibble_split_16(b.qs, i));
  std::fill_n(out.min, 16, 1);
  out.dmin = -to_f32(b.m);
  out.has_min = true;
}

void unpack(const Q5_0& b, PlainBlock& out) {
  set_scales(out, to_f32(b.d));
  for (int i = 0; i < 32; ++i) out.code[i] = static_cast<int16_t>(nibble_split_16(b.qs, i) + 16 * bit_of(b.qh, i) - 16);
}

void unpack(const Q5_1& b, PlainBlock& out) {
  set_scales(out, to_f32(b.d));
  for (int i = 0; i < 32; ++i) out.code[i] = static_cast<int16_t>(nibble_split_16(b.qs, i) + 16 * bit_of(b.qh, i));
  std::fill_n(out.min, 16, 1);
  out.dmin = -to_f32(b.m);
  out.has_min = true;
}

void unpack(const Q8_0& b, PlainBlock& out) {
  set_scales(out, to_f32(b.d));
  for (int i = 0; i < 32; ++i) out.code[i] = b.qs[i];
}

void unpack(const IQ4_NL& b, PlainBlock& out) {
  set_scales(out, to_f32(b.d));
  for (int i = 0; i < 32; ++i) out.code[i] = kIQ4Levels[nibble_split_16(b.qs, i)];
}

void unpack(const MXFP4& b, PlainBlock& out) {
  set_scales(out, scale_of(b));
  for (int i = 0; i < 32; ++i) out.code[i] = kE2M1Doubled[nibble_split_16(b.qs, i)];
}

void unpack(const NVFP4& b, PlainBlock& out) {
  set_scales(out, 0x1p-10f);
  out.group = NVFP4::kSubBlock;
  for (int s = 0; s < 4; ++s) {  // the scales as multiples of the least one, 2^-9
    const int e4m3 = b.d[s] & 0x7f, exponent = e4m3 >> 3, mantissa = e4m3 & 7;
    out.scale[s] = b.d[s] == 0x7f ? 0 : exponent == 0 ? mantissa : (8 + mantissa) << (exponent - 1);
    for (int i = 0; i < 16; ++i) out.code[16 * s + i] = kE2M1Doubled[(b.qs[8 * s + i % 8] >> (4 * (i / 8))) & 15];
  }
}

void unpack(const Q1_0& b, PlainBlock& out) {
  set_scales(out, to_f32(b.d));
  for (int i = 0; i < Q1_0::kValues; ++i) out.code[i] = static_cast<int16_t>(2 * bit_of(b.qs, i) - 1);
}

void unpack(const Q2_0& b, PlainBlock& out) {
  set_scales(out, to_f32(b.d));
  for (int i = 0; i < Q2_0::kValues; ++i) out.code[i] = static_cast<int16_t>(((b.qs[i / 4] >> (2 * (i % 4))) & 3) - 1);
}

// Blocks lie at any address in a file; the copy keeps alignment out of the functions above.
template <typename Block>
void unpack_unaligned(const void* block, PlainBlock& out) {
  Block copy;
  std::memcpy(&copy, block, sizeof(Block));
  unpack(copy, out);
}

struct PlainFormat {
  GgmlType type;
  PlainUnpackFn unpack;
};
constexpr PlainFormat kFormats[] = {
    {GgmlType::kQ2_K, unpack_unaligned<Q2_K>},       {GgmlType::kQ3_K, unpack_unaligned<Q3_K>},
    {GgmlType::kQ4_K, unpack_unaligned<Q4_K>},       {GgmlType::kQ5_K, unpack_unaligned<Q5_K>},
    {GgmlType::kQ6_K, unpack_unaligned<Q6_K>},       {GgmlType::kIQ1_S, unpack_unaligned<IQ1_S>},
    {GgmlType::kIQ1_M, unpack_unaligned<IQ1_M>},     {GgmlType::kIQ2_XXS, unpack_unaligned<IQ2_XXS>},
    {GgmlType::kIQ2_XS, unpack_unaligned<IQ2_XS>},   {GgmlType::kIQ2_S, unpack_unaligned<IQ2_S>},
    {GgmlType::kIQ3_XXS, unpack_unaligned<IQ3_XXS>}, {GgmlType::kIQ3_S, unpack_unaligned<IQ3_S>},
    {GgmlType::kIQ4_XS, unpack_unaligned<IQ4_XS>},   {GgmlType::kTQ1_0, unpack_unaligned<TQ1_0>},
    {GgmlType::kTQ2_0, unpack_unaligned<TQ2_0>},     {GgmlType::kQ4_0, unpack_unaligned<Q4_0>},
    {GgmlType::kQ4_1, unpack_unaligned<Q4_1>},       {GgmlType::kQ5_0, unpack_unaligned<Q5_0>},
    {GgmlType::kQ5_1, unpack_unaligned<Q5_1>},       {GgmlType::kQ8_0, unpack_unaligned<Q8_0>},
    {GgmlType::kIQ4_NL, unpack_unaligned<IQ4_NL>},   {GgmlType::kMXFP4, unpack_unaligned<MXFP4>},
    {GgmlType::kNVFP4, unpack_unaligned<NVFP4>},     {GgmlType::kQ1_0, unpack_unaligned<Q1_0>},
    {GgmlType::kQ2_0, unpack_unaligned<Q2_0>},
};

}  // namespace

PlainUnpackFn plain_unpack(const Format& format) {
  for (const PlainFormat& of : kFormats)
    if (of.type == format.type) return of.unpack;
  return nullptr;
}

}  // namespace tessera::kernels::cpu
