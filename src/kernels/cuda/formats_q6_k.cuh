// Q6_K: 256 values with signed scales of 8 bits inside the block. The contract: formats.cuh.
#pragma once

#include "kernels/cuda/formats_common.cuh"
#include "quant/q6_k.h"

namespace tessera::kernels::cuda {

struct Q6K : Packed<quant::Q6_K, 2, 256, 2, 32, false, false> {
  static constexpr int kMatmulUnit = kUnitValues, kSmallMatmulUnit = kUnitValues, kSharedSlices = 4;
  struct Raw {
    uint32_t low[8], high[8], scales, d;
  };
  // Slice s is values 128 h + 32 r .. + 31 with h = s / 4, r = s % 4.
  template <typename P>
  TESSERA_DEVICE static Raw fetch(P block, int s) {
    Raw raw;
    load_words(block + (s / 4 * 64 + s % 2 * 32), raw.low);
    load_words(block + (128 + s / 4 * 32), raw.high);
    raw.scales = load_u16(block + (192 + 2 * s));
    raw.d = load_u16(block + 208);
    return raw;
  }
  // Of slices r and r + 2, which share words, the two high bits are at 2r and 2r + 4 of a byte, and belong at 4: one
  // mask serves both.
  TESSERA_DEVICE static uint32_t join(uint32_t low, uint32_t high, int s) {
    const uint32_t pairs = opaque(high >> 2 * (s % 2) & 0x33333333u);
    return s % 4 < 2 ? low_and_high_nibbles(low, pairs << 4) : low_and_high_nibbles(low >> 4, pairs);
  }
  TESSERA_DEVICE static Slice<2> unpack(const Raw& raw, int s) {
    Slice<2> out;
    TESSERA_UNROLL
    for (int i = 0; i < 8; ++i) out.codes[i] = join(raw.low[i], raw.high[i], s);
    const float d = float_of_f16(static_cast<uint16_t>(raw.d));
    out.scale[0] = d * static_cast<float>(static_cast<int8_t>(raw.scales));
    out.scale[1] = d * static_cast<float>(static_cast<int8_t>(raw.scales >> 8));
    out.min = 0;
    return out;
  }

  template <int>
  struct Quad {
    uint32_t low[2][2][2], high[2][2];  // (h, s % 2, half), (h, half)
    uint32_t scales[4], d;
    uint32_t own_scales;  // scales 4t .. 4t + 3
  };
  template <int n, int = 1, typename P>
  TESSERA_DEVICE static Quad<n> fetch_quad(P row, int lead, int t, int, int = 0) {
    const RowWords<2, P> block(row, lead), words = block.from(4 * t);
    Quad<n> out;
    TESSERA_UNROLL
    for (int i = 0; i < 8; ++i) out.low[i / 4][i / 2 % 2][i % 2] = words.word(16 * i);
    TESSERA_UNROLL
    for (int i = 0; i < 4; ++i) out.high[i / 2][i % 2] = words.word(128 + 16 * i);
    TESSERA_UNROLL
    for (int i = 0; i < 4; ++i) out.scales[i] = block.word(192 + 4 * i);
    out.own_scales = words.word(192);
    out.d = block.low_half(208);
    return out;
  }
  TESSERA_DEVICE static Words2 codes(const Quad<kUnitSlices>& q, int s) {
    const auto low = q.low[s / 4][s % 2], high = q.high[s / 4];
    return {{join(low[0], high[0], s), join(low[1], high[1], s)}};
  }
  TESSERA_DEVICE static const auto& integer_scales(const Quad<kUnitSlices>& q) { return q.scales; }
  TESSERA_DEVICE static uint32_t offset_word(const Quad<kUnitSlices>& q) { return q.own_scales; }
  TESSERA_DEVICE static float d(const Quad<kUnitSlices>& q) { return float_of_f16(static_cast<uint16_t>(q.d)); }
  TESSERA_DEVICE static float dmin(const Quad<kUnitSlices>&) { return 0; }
  TESSERA_DEVICE static Words2 half_scales(const Quad<kUnitSlices>& q, int s) {
    const int i = 2 * s;
    const uint32_t both =
        mul_f16x2(halves_of_bytes<128>(q.scales[i / 4] ^ 0x80808080u, i % 4, i % 4 + 1), half_weight(q.d));
    return {{permute_bytes(both, 0, 0x1010), permute_bytes(both, 0, 0x3232)}};
  }

  // A quarter is half of four slices, those of one half of the block: sixteen bytes of high bits serve them all.
  struct CodeSums {
    int32_t start[4];  // what the bias makes of the sums
    TESSERA_DEVICE void set(const int32_t (&of)[4]) {
      TESSERA_UNROLL
      for (int g = 0; g < 4; ++g) start[g] = -kBias * of[g];
    }
  };
  TESSERA_DEVICE static int sixteenth(int j, int g) { return j / 2 * 8 + 2 * g + j % 2; }
  struct Quarter {
    Words4 low[2], high;  // of slices 0 and 2, 1 and 3
    uint32_t scales, d;
  };
  template <typename P>
  TESSERA_DEVICE static Quarter fetch_quarter(P row, int lead, int j, int) {
    const int h = j / 2, half = 16 * (j % 2);
    const RowWords<2, P> block(row, lead), low(row, lead + 64 * h + half), high(row, lead + 32 * h + half),
        scales(row, lead + 8 * h);
    Quarter out;
    TESSERA_UNROLL
    for (int i = 0; i < 2; ++i) out.low[i] = low.words4(32 * i);
    out.high = high.words4(128);
    out.scales = permute_bytes(scales.word(192), scales.word(196), j % 2 ? 0x7531 : 0x6420);
    out.d = block.low_half(208);
    return out;
  }
  TESSERA_DEVICE static float product(const Quarter& q, const QuarterInput<Q6K>& x) {
    int32_t sum = 0;
    TESSERA_UNROLL
    for (int g = 0; g < 3; ++g) {
      uint32_t codes[4];
      TESSERA_UNROLL
      for (int w = 0; w < 4; ++w) codes[w] = join(q.low[g % 2].word[w], q.high.word[w], g);
      sum += dot16(codes, x.codes[g], x.sums.start[g]) * signed_byte(q.scales, g);
    }
    // The last codes would take two shifts: instead 16 times the low nibbles and 64 times the high pairs.
    const int32_t low = dot16_of<kHighNibbles>(q.low[1], x.codes[3], 0),
                  high = dot16_of<0xc0c0c0c0u>(q.high, x.codes[3], 0);
    sum += (x.sums.start[3] + ((low + 4 * high) >> 4)) * signed_byte(q.scales, 3);
    return float_of_f16(static_cast<uint16_t>(q.d)) * x.d[0] * static_cast<float>(sum);
  }
};

}  // namespace tessera::kernels::cuda
