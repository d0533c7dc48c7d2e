// Formats of 32 values, a slice each: d, then the codes. Q8_0, Q4_0. The contract: formats.cuh.
#pragma once

#include "kernels/cuda/formats_common.cuh"
#include "quant/q4_0.h"
#include "quant/q8_0.h"

namespace tessera::kernels::cuda {

template <typename BlockType, int bias, int code_factor>
struct PackedSlice : Packed<BlockType, 2, 32, 1, bias, false, true, code_factor> {
  static constexpr int kWords = (sizeof(BlockType) - 2) / 4;  // of codes
  struct Raw {
    uint32_t codes[kWords], d;
  };
  template <typename P>
  TESSERA_DEVICE static Raw fetch(P block, int) {
    Raw raw;
    load_words(block + 2, raw.codes);
    raw.d = load_u16(block);
    return raw;
  }

  // Of Q8_0 128 values in the smallest shape: the rings of eight warps with twice as much would not fit into 99 KiB
  // beside four tiles of 64 tokens.
  static constexpr int kMatmulUnit = kUnitValues, kSmallMatmulUnit = kUnitValues / (sizeof(BlockType) > 18 ? 2 : 1);
  static constexpr int kSharedSlices = 2;
  static constexpr int kHalves = kWords / 4;  // words a lane has of a slice
  template <int n>
  struct Quad {
    uint32_t words[n][kHalves], d[n];
  };
  template <int n, int step = 1, typename P>
  TESSERA_DEVICE static Quad<n> fetch_quad(P row, int lead, int t, int n_slices, int first = 0) {
    constexpr int kBytes = sizeof(BlockType);
    static_assert(kBytes % 4 == 2);  // every second block begins at a multiple of 4 from the first
    const RowWords<2, P> codes[2] = {{row, lead + 2 + 4 * t}, {row, lead + kBytes + 2 + 4 * t}};
    Quad<n> out;
    TESSERA_UNROLL
    for (int s = 0; s < n; ++s) {
      const int pair = s / 2 * 2 * kBytes;
      TESSERA_UNROLL
      for (int i = 0; i < kHalves; ++i) out.words[s][i] = codes[s % 2].word(pair + 16 * i);
    }
    TESSERA_UNROLL
    for (int s = 0; s < n; s += step) {
      const uint32_t d = load_u16(row + (lead + first * kBytes) + s * kBytes);  // of no slice: any bytes of the unit
      out.d[s / step] = d & (first + s < n_slices ? ~0u : 0u);
    }
    return out;
  }
  template <int n>
  TESSERA_DEVICE static float scale(const Quad<n>& q, int i) {
    return float_of_f16(static_cast<uint16_t>(q.d[i]));
  }
  template <int n>
  TESSERA_DEVICE static Words2 half_scales(const Quad<n>& q, int s) {
    const uint32_t scale = half_weight<code_factor>(q.d[s]);
    return {{scale, scale}};
  }

  // A quarter is two blocks.
  TESSERA_DEVICE static int sixteenth(int j, int g) { return 4 * j + g; }
  struct Quarter {
    Words4 codes[2][kHalves];
    uint32_t d[2];
  };
  template <typename P>
  TESSERA_DEVICE static Quarter fetch_quarter(P row, int lead, int j, int n_slices) {
    constexpr int kBytes = sizeof(BlockType);
    Quarter out;
    TESSERA_UNROLL
    for (int i = 0; i < 2; ++i) {
      const int block = lead + min_of(2 * j + i, n_slices - 1) * kBytes;
      const RowWords<2, P> codes(row, block + 2);
      out.d[i] = load_u16(row + block);
      TESSERA_UNROLL
      for (int c = 0; c < kHalves; ++c) out.codes[i][c] = codes.words4(16 * c);
    }
    return out;
  }
};

struct Q8_0 : PackedSlice<quant::Q8_0, 0, 1> {
  TESSERA_DEVICE static Slice<1> unpack(const Raw& raw, int) {
    Slice<1> out;
    TESSERA_UNROLL
    for (int i = 0; i < 8; ++i) out.codes[i] = raw.codes[i];
    out.scale[0] = float_of_f16(static_cast<uint16_t>(raw.d));
    out.min = 0;
    return out;
  }
  template <int n>
  TESSERA_DEVICE static Words2 codes(const Quad<n>& q, int s) {
    return {{q.words[s][0], q.words[s][1]}};
  }
  template <int n>
  TESSERA_DEVICE static Words2 unsigned_codes(const Quad<n>& q, int s) {
    return {{q.words[s][0] ^ 0x80808080u, q.words[s][1] ^ 0x80808080u}};
  }
  using CodeSums = NoSums;
  TESSERA_DEVICE static float product(const Quarter& q, const QuarterInput<Q8_0>& x) {
    float sum = 0;
    TESSERA_UNROLL
    for (int i = 0; i < 2; ++i) {
      const auto& codes = q.codes[i];
      const int32_t dot = dot16(codes[1].word, x.codes[2 * i + 1], dot16(codes[0].word, x.codes[2 * i], 0));
      sum += float_of_f16(static_cast<uint16_t>(q.d[i])) * x.d[i] * static_cast<float>(dot);
    }
    return sum;
  }
};

struct Q4_0 : PackedSlice<quant::Q4_0, 8, 16> {
  TESSERA_DEVICE static Slice<1> unpack(const Raw& raw, int) {
    Slice<1> out;
    TESSERA_UNROLL
    for (int i = 0; i < 4; ++i) {
      out.codes[i] = raw.codes[i] & 0x0f0f0f0fu;
      out.codes[i + 4] = raw.codes[i] >> 4 & 0x0f0f0f0fu;
    }
    out.scale[0] = float_of_f16(static_cast<uint16_t>(raw.d));
    out.min = 0;
    return out;
  }
  // A nibble in the high bits of a byte is 16 times itself; with the sign flipped, 16 times 8 less. Both nibbles' signs
  // are flipped at once.
  template <int n>
  TESSERA_DEVICE static Words2 codes(const Quad<n>& q, int s) {
    const uint32_t flipped = opaque(q.words[s][0] ^ 0x88888888u);
    return {{flipped << 4 & kHighNibbles, flipped & kHighNibbles}};
  }
  template <int n>
  TESSERA_DEVICE static Words2 unsigned_codes(const Quad<n>& q, int s) {
    return {{q.words[s][0] << 4 & kHighNibbles, q.words[s][0] & kHighNibbles}};
  }
  struct CodeSums {
    int32_t start[2];  // what the bias makes of the blocks' sums
    TESSERA_DEVICE void set(const int32_t (&of)[4]) {
      TESSERA_UNROLL
      for (int i = 0; i < 2; ++i) start[i] = -kBias * (of[2 * i] + of[2 * i + 1]);
    }
  };
  TESSERA_DEVICE static float product(const Quarter& q, const QuarterInput<Q4_0>& x) {
    float sum = 0;
    TESSERA_UNROLL
    for (int i = 0; i < 2; ++i) {
      const Words4& codes = q.codes[i][0];
      const int32_t dot = dot16_of<kLowNibbles>(codes, x.codes[2 * i], x.sums.start[i]) +
                          (dot16_of<kHighNibbles>(codes, x.codes[2 * i + 1], 0) >> 4);
      sum += float_of_f16(static_cast<uint16_t>(q.d[i])) * x.d[i] * static_cast<float>(dot);
    }
    return sum;
  }
};

}  // namespace tessera::kernels::cuda
