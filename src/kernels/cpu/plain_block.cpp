#include "kernels/cpu/plain_block.h"

#include <algorithm>
#include <cstring>

#include "quant/iq4_nl.h"
#include "quant/iq4_xs.h"
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

namespace tessera::kernels::cpu {
namespace {

using namespace quant;  // NOLINT: the layouts of every format, by name

void set_scales(PlainBlock& out, F16 d) {
  std::fill_n(out.scale, 16, 1);
  std::fill_n(out.min, 16, 0);
  out.d = to_f32(d);
  out.dmin = 0;
  out.has_min = false;
}

// value 32r' + l of a K format's 4-bit part: byte l of run r, low nibble first.
int nibble_in_runs(const uint8_t* qs, int i) { return (qs[32 * (i / 64) + i % 32] >> (4 * (i / 32 % 2))) & 15; }
// value j of the 32-value formats: byte j's low nibble, then the high ones.
int nibble_split_16(const uint8_t* qs, int i) { return (qs[i % 16] >> (4 * (i / 16))) & 15; }
int bit_of(const uint8_t* bits, int i) { return (bits[i / 8] >> (i % 8)) & 1; }
int two_bits(const uint8_t* qs, int i) { return (qs[32 * (i / 128) + i % 32] >> (2 * (i % 128 / 32))) & 3; }

template <typename Block>
void set_6bit_scales(const Block& b, PlainBlock& out) {
  set_scales(out, b.d);
  uint8_t scales[8], mins[8];
  unpack_scales_6bit(b.scales, scales, mins);
  for (int j = 0; j < 16; ++j) out.scale[j] = scales[j / 2], out.min[j] = mins[j / 2];
  out.dmin = to_f32(b.dmin);
  out.has_min = true;
}

void unpack(const Q2_K& b, PlainBlock& out) {
  set_scales(out, b.d);
  for (int i = 0; i < 256; ++i) out.code[i] = static_cast<int16_t>(two_bits(b.qs, i));
  for (int j = 0; j < 16; ++j) out.scale[j] = b.scales[j] & 15, out.min[j] = b.scales[j] >> 4;
  out.dmin = to_f32(b.dmin);
  out.has_min = true;
}

void unpack(const Q3_K& b, PlainBlock& out) {
  set_scales(out, b.d);
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
  set_scales(out, b.d);
  for (int i = 0; i < 256; ++i) {
    const uint8_t low = b.ql[64 * (i / 128) + i % 64];
    const int nibble = i % 128 < 64 ? low & 15 : low >> 4;
    out.code[i] = static_cast<int16_t>(nibble + 16 * two_bits(b.qh, i) - 32);
  }
  for (int j = 0; j < 16; ++j) out.scale[j] = b.scales[j];
}

void unpack(const IQ4_XS& b, PlainBlock& out) {
  set_scales(out, b.d);
  for (int i = 0; i < 256; ++i) out.code[i] = kIQ4Levels[nibble_split_16(b.qs + 16 * (i / 32), i % 32)];
  for (int j = 0; j < 16; ++j) {
    const int s = j / 2;  // the sub-block of 32
    out.scale[j] = ((b.scales_l[s / 2] >> (4 * (s % 2))) & 15) + 16 * ((b.scales_h >> (2 * s)) & 3) - 32;
  }
}

void unpack(const Q4_0& b, PlainBlock& out) {
  set_scales(out, b.d);
  for (int i = 0; i < 32; ++i) out.code[i] = static_cast<int16_t>(nibble_split_16(b.qs, i) - 8);
}

void unpack(const Q4_1& b, PlainBlock& out) {
  set_scales(out, b.d);
  for (int i = 0; i < 32; ++i) out.code[i] = static_cast<int16_t>(nibble_split_16(b.qs, i));
  std::fill_n(out.min, 16, 1);
  out.dmin = -to_f32(b.m);
  out.has_min = true;
}

void unpack(const Q5_0& b, PlainBlock& out) {
  set_scales(out, b.d);
  for (int i = 0; i < 32; ++i) out.code[i] = static_cast<int16_t>(nibble_split_16(b.qs, i) + 16 * bit_of(b.qh, i) - 16);
}

void unpack(const Q5_1& b, PlainBlock& out) {
  set_scales(out, b.d);
  for (int i = 0; i < 32; ++i) out.code[i] = static_cast<int16_t>(nibble_split_16(b.qs, i) + 16 * bit_of(b.qh, i));
  std::fill_n(out.min, 16, 1);
  out.dmin = -to_f32(b.m);
  out.has_min = true;
}

void unpack(const Q8_0& b, PlainBlock& out) {
  set_scales(out, b.d);
  for (int i = 0; i < 32; ++i) out.code[i] = b.qs[i];
}

void unpack(const IQ4_NL& b, PlainBlock& out) {
  set_scales(out, b.d);
  for (int i = 0; i < 32; ++i) out.code[i] = kIQ4Levels[nibble_split_16(b.qs, i)];
}

// Blocks lie at any address in a file; the copy keeps alignment out of the functions above.
template <typename Block>
void unpack_unaligned(const void* block, PlainBlock& out) {
  Block copy;
  std::memcpy(&copy, block, sizeof(Block));
  unpack(copy, out);
}

}  // namespace

PlainUnpackFn plain_unpack(const Format& format) {
  switch (format.type) {
    case GgmlType::kQ2_K:
      return unpack_unaligned<Q2_K>;
    case GgmlType::kQ3_K:
      return unpack_unaligned<Q3_K>;
    case GgmlType::kQ4_K:
      return unpack_unaligned<Q4_K>;
    case GgmlType::kQ5_K:
      return unpack_unaligned<Q5_K>;
    case GgmlType::kQ6_K:
      return unpack_unaligned<Q6_K>;
    case GgmlType::kIQ4_XS:
      return unpack_unaligned<IQ4_XS>;
    case GgmlType::kQ4_0:
      return unpack_unaligned<Q4_0>;
    case GgmlType::kQ4_1:
      return unpack_unaligned<Q4_1>;
    case GgmlType::kQ5_0:
      return unpack_unaligned<Q5_0>;
    case GgmlType::kQ5_1:
      return unpack_unaligned<Q5_1>;
    case GgmlType::kQ8_0:
      return unpack_unaligned<Q8_0>;
    case GgmlType::kIQ4_NL:
      return unpack_unaligned<IQ4_NL>;
    default:
      return nullptr;
  }
}

}  // namespace tessera::kernels::cpu
