// Formats of 256 values with 6-bit scales and mins inside the block: Q4_K, Q5_K. The contract: formats.cuh.
#pragma once

#include "kernels/cuda/formats_common.cuh"
#include "quant/q4_k.h"
#include "quant/q5_k.h"

namespace tessera::kernels::cuda {

// Header of Q4_K and Q5_K: d, dmin and twelve bytes of 6-bit scales and mins (quant/scales_6bit.h).
struct KHeader {
  uint32_t d, scales[2], mins[2];  // d: d and dmin as f16; bytes of eight scales, of eight mins

  TESSERA_DEVICE static KHeader of(const Words4& in) {
    KHeader out;
    out.d = in.word[0];
    out.scales[0] = in.word[1] & 0x3f3f3f3fu;
    out.scales[1] = (in.word[3] & 0x0f0f0f0fu) | (in.word[1] >> 2 & 0x30303030u);
    out.mins[0] = in.word[2] & 0x3f3f3f3fu;
    out.mins[1] = (in.word[3] >> 4 & 0x0f0f0f0fu) | (in.word[2] >> 2 & 0x30303030u);
    return out;
  }
};

// Of a header as it lies in memory, lane t's scales 2t and 2t + 1, in the low bytes, and the mins of the same.
TESSERA_DEVICE uint32_t own_scales_and_mins(const Words4& header, int t) {
  const bool is_high = t >= 2;  // sub-blocks from 4 on: low nibbles apart, bits 4 and 5 on top of the others' bytes
  const uint32_t pair = t % 2 ? 0x7632 : 0x5410;
  const uint32_t six = permute_bytes(header.word[1], header.word[2], pair) >> (is_high ? 2 : 0);
  const uint32_t four = permute_bytes(header.word[3], header.word[3] >> 4, pair);
  return (six & (is_high ? 0x30303030u : 0x3f3f3f3fu)) | (four & (is_high ? 0x0f0f0f0fu : 0u));
}

// Scales and mins of sub-block j of a header as it lies in memory.
template <int kScales>
TESSERA_DEVICE void unpack_k_scales(const Words4& header, int j, Slice<kScales>& out) {
  const uint32_t shift = 8 * (static_cast<uint32_t>(j) % 4);
  const uint32_t a = header.word[1] >> shift, b = header.word[2] >> shift, c = header.word[3] >> shift;
  const uint32_t scale = j < 4 ? a & 63 : (c & 15) | (a >> 2 & 0x30);
  const uint32_t min = j < 4 ? b & 63 : (c >> 4 & 15) | (b >> 2 & 0x30);
  out.scale[0] = float_of_f16(static_cast<uint16_t>(header.word[0])) * static_cast<float>(scale);
  out.min = float_of_f16(static_cast<uint16_t>(header.word[0] >> 16)) * static_cast<float>(min);
}

// What Q4_K and Q5_K share: everything that comes from the header.
template <typename Block>
struct KWithMins : Packed<Block, 16, 256, 1, 0, true, false> {
  static constexpr int kMatmulUnit = kUnitValues, kSmallMatmulUnit = kUnitValues, kSharedSlices = 2;
  struct QuadBase {
    KHeader header;
    uint32_t own;  // own_scales_and_mins
    template <typename P>
    TESSERA_DEVICE void load_header(P block, int t) {
      const Words4 in = load_words4(block);
      header = KHeader::of(in), own = own_scales_and_mins(in, t);
    }
  };
  TESSERA_DEVICE static const auto& integer_scales(const QuadBase& q) { return q.header.scales; }
  // The mins of slices 2t and 2t + 1, twice each: one for each 16 values.
  TESSERA_DEVICE static uint32_t offset_word(const QuadBase& q) { return permute_bytes(q.own, 0, 0x3322); }
  TESSERA_DEVICE static float d(const QuadBase& q) { return float_of_f16(static_cast<uint16_t>(q.header.d)); }
  TESSERA_DEVICE static float dmin(const QuadBase& q) { return float_of_f16(static_cast<uint16_t>(q.header.d >> 16)); }
  TESSERA_DEVICE static Words2 half_scales(const QuadBase& q, int s) {
    const uint32_t scale = mul_f16x2(halves_of_bytes<0>(q.header.scales[s / 4], s % 4, s % 4), half_weight(q.header.d));
    return {{scale, scale}};
  }
  TESSERA_DEVICE static uint32_t half_min(const QuadBase& q, int s) {
    return mul_f16x2(halves_of_bytes<0>(q.header.mins[s / 4], s % 4, s % 4), half_weight(q.header.d >> 16));
  }

  // A quarter is two sub-blocks: the low nibbles of 32 bytes and their high ones.
  struct CodeSums {
    uint32_t of_blocks;  // two 16-bit sums of 32
    TESSERA_DEVICE void set(const int32_t (&of)[4]) {
      of_blocks = (static_cast<uint32_t>(of[0] + of[1]) & 0xffffu) | static_cast<uint32_t>(of[2] + of[3]) << 16;
    }
  };
  TESSERA_DEVICE static int sixteenth(int j, int g) { return 4 * j + g; }
  struct QuarterBase {
    uint32_t d, own;  // own_scales_and_mins
    Words4 low[2];
    // nibbles: where in the block they begin.
    template <typename P>
    TESSERA_DEVICE void load(P block, int nibbles, int j) {
      const Words4 header = load_words4(block);
      d = header.word[0], own = own_scales_and_mins(header, j);
      TESSERA_UNROLL
      for (int i = 0; i < 2; ++i) low[i] = load_words4(block + (nibbles + 32 * j + 16 * i));
    }
  };
  // Of the sums of products of both sub-blocks' codes.
  TESSERA_DEVICE static float scaled(const QuarterBase& q, int32_t first, int32_t second, uint32_t of_blocks, float d) {
    const auto scale = [&](uint32_t i) { return static_cast<int32_t>(permute_bytes(q.own, 0, 0x4440 + i)); };
    const auto sum = static_cast<float>(first * scale(0) + second * scale(1));
    const auto offset = static_cast<float>(dot2(of_blocks, q.own >> 16));
    const float inner =
        float_of_f16(static_cast<uint16_t>(q.d)) * sum - float_of_f16(static_cast<uint16_t>(q.d >> 16)) * offset;
    return d * inner;
  }
};

struct Q4K : KWithMins<quant::Q4_K> {
  struct Raw {
    Words4 header, low[2];
  };
  template <typename P>
  TESSERA_DEVICE static Raw fetch(P block, int s) {
    const int run = 16 + s / 2 * 32;
    return {load_words4(block), {load_words4(block + run), load_words4(block + run + 16)}};
  }
  TESSERA_DEVICE static Slice<1> unpack(const Raw& raw, int s) {
    Slice<1> out;
    const int shift = 4 * (s % 2);
    TESSERA_UNROLL
    for (int i = 0; i < 8; ++i) out.codes[i] = raw.low[i / 4].word[i % 4] >> shift & 0x0f0f0f0fu;
    unpack_k_scales(raw.header, s, out);
    return out;
  }

  template <int>
  struct Quad : QuadBase {
    uint32_t low[4][2];  // (run, half)
  };
  template <int n, int = 1, typename P>
  TESSERA_DEVICE static Quad<n> fetch_quad(P row, int lead, int t, int, int = 0) {
    const auto block = row + lead;
    const RowWords<16, P> words(block, 4 * t);
    Quad<n> out;
    out.load_header(block, t);
    TESSERA_UNROLL
    for (int i = 0; i < 8; ++i) out.low[i / 2][i % 2] = words.word(16 + 16 * i);
    return out;
  }
  TESSERA_DEVICE static Words2 codes(const Quad<kUnitSlices>& q, int s) {
    const int shift = 4 * (s % 2);
    return {{q.low[s / 2][0] >> shift & 0x0f0f0f0fu, q.low[s / 2][1] >> shift & 0x0f0f0f0fu}};
  }
  static constexpr int kOddShift = 4;
  TESSERA_DEVICE static Words2 codes_in_place(const Quad<kUnitSlices>& q, int s) {
    const uint32_t bits = s % 2 ? kHighNibbles : kLowNibbles;
    return {{q.low[s / 2][0] & bits, q.low[s / 2][1] & bits}};
  }

  using Quarter = QuarterBase;
  template <typename P>
  TESSERA_DEVICE static Quarter fetch_quarter(P row, int lead, int j, int) {
    Quarter out;
    out.load(row + lead, 16, j);
    return out;
  }
  TESSERA_DEVICE static float product(const Quarter& q, const QuarterInput<Q4K>& x) {
    const int32_t first = dot16_of<kLowNibbles>(q.low[1], x.codes[1], dot16_of<kLowNibbles>(q.low[0], x.codes[0], 0));
    const int32_t second =
        dot16_of<kHighNibbles>(q.low[1], x.codes[3], dot16_of<kHighNibbles>(q.low[0], x.codes[2], 0));
    return scaled(q, first, second >> 4, x.sums.of_blocks, x.d[0]);
  }
};

struct Q5K : KWithMins<quant::Q5_K> {
  struct Raw {
    Words4 header, high[2], low[2];
  };
  template <typename P>
  TESSERA_DEVICE static Raw fetch(P block, int s) {
    const int run = 48 + s / 2 * 32;
    return {load_words4(block),
            {load_words4(block + 16), load_words4(block + 32)},
            {load_words4(block + run), load_words4(block + run + 16)}};
  }
  // The fifth bit of slice s is at s of a byte, and belongs at 4: one mask serves slices s and s + 4.
  TESSERA_DEVICE static uint32_t join(uint32_t low, uint32_t high, int s) {
    const uint32_t bits = opaque(high >> s % 4 & 0x11111111u);
    return low_and_high_nibbles(low >> 4 * (s % 2), s < 4 ? bits << 4 : bits);
  }
  TESSERA_DEVICE static Slice<1> unpack(const Raw& raw, int s) {
    Slice<1> out;
    TESSERA_UNROLL
    for (int i = 0; i < 8; ++i) out.codes[i] = join(raw.low[i / 4].word[i % 4], raw.high[i / 4].word[i % 4], s);
    unpack_k_scales(raw.header, s, out);
    return out;
  }

  template <int>
  struct Quad : QuadBase {
    uint32_t high[2], low[4][2];
  };
  template <int n, int = 1, typename P>
  TESSERA_DEVICE static Quad<n> fetch_quad(P row, int lead, int t, int, int = 0) {
    const auto block = row + lead;
    const RowWords<16, P> words(block, 4 * t);
    Quad<n> out;
    out.load_header(block, t);
    TESSERA_UNROLL
    for (int half = 0; half < 2; ++half) out.high[half] = words.word(16 + 16 * half);
    TESSERA_UNROLL
    for (int i = 0; i < 8; ++i) out.low[i / 2][i % 2] = words.word(48 + 16 * i);
    return out;
  }
  TESSERA_DEVICE static Words2 codes(const Quad<kUnitSlices>& q, int s) {
    return {{join(q.low[s / 2][0], q.high[0], s), join(q.low[s / 2][1], q.high[1], s)}};
  }

  struct Quarter : QuarterBase {
    Words4 high[2];  // bits 4 and 5 of each byte: the fifth bits of both sub-blocks
  };
  template <typename P>
  TESSERA_DEVICE static Quarter fetch_quarter(P row, int lead, int j, int) {
    const auto block = row + lead;
    Quarter out;
    out.load(block, 48, j);
    TESSERA_UNROLL
    for (int i = 0; i < 2; ++i) {
      out.high[i] = load_words4(block + (16 + 16 * i));
      TESSERA_UNROLL
      for (int w = 0; w < 4; ++w) {
        uint32_t& bits = out.high[i].word[w];  // turned right by 2j - 4
        bits = funnel_right(bits, bits, static_cast<uint32_t>(2 * j + 28) % 32);
      }
    }
    return out;
  }
  TESSERA_DEVICE static float product(const Quarter& q, const QuarterInput<Q5K>& x) {
    int32_t first = 0, second = 0, fifth = 0;  // of the second sub-block 16 times the nibbles, 32 times the fifth bits
    TESSERA_UNROLL
    for (int i = 0; i < 2; ++i) {
      uint32_t codes[4];
      TESSERA_UNROLL
      for (int w = 0; w < 4; ++w) codes[w] = (q.low[i].word[w] & kLowNibbles) | (q.high[i].word[w] & 0x10101010u);
      first = dot16(codes, x.codes[i], first);
      second = dot16_of<kHighNibbles>(q.low[i], x.codes[2 + i], second);
      fifth = dot16_of<0x20202020u>(q.high[i], x.codes[2 + i], fifth);
    }
    return scaled(q, first, (second + 8 * fifth) >> 4, x.sums.of_blocks, x.d[0]);
  }
};

}  // namespace tessera::kernels::cuda
