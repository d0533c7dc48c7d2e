// Formats of 256 values with integer scales inside the block: Q4_K, Q5_K, Q6_K. The contract: formats.cuh.
#pragma once

#include "kernels/cuda/formats_common.cuh"
#include "quant/q4_k.h"
#include "quant/q5_k.h"
#include "quant/q6_k.h"

namespace tessera::kernels::cuda {

// f16 of bytes i and j of packed scales, less kZero. A byte c in the low bits of 1024.0 is 1024 + c.
template <int kZero>
TESSERA_DEVICE uint32_t halves_of_bytes(uint32_t word, int i, int j) {
  constexpr uint32_t kMinus = f16x2(-1024 - kZero);
  return add_f16x2(permute_bytes(0x64646464u, word, 0x0404 + static_cast<uint32_t>(i + 0x100 * j)), kMinus);
}

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

// What quads of Q4_K and Q5_K share: everything that comes from the header.
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
  TESSERA_DEVICE static int32_t integer_scale(const QuadBase& q, int s) {
    return static_cast<int32_t>(permute_bytes(q.header.scales[s / 4], 0, 0x4440 + static_cast<uint32_t>(s % 4)));
  }
  TESSERA_DEVICE static int32_t own_scale(const QuadBase& q, int i) {
    return static_cast<int32_t>(permute_bytes(q.own, 0, 0x4440 + static_cast<uint32_t>(i)));
  }
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
  template <int n, typename P>
  TESSERA_DEVICE static Quad<n> fetch_quad(P block, int, int t, int) {
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
  TESSERA_DEVICE static uint32_t join(uint32_t low, uint32_t high, int s) {
    return (low >> 4 * (s % 2) & 0x0f0f0f0fu) | (high >> s & 0x01010101u) << 4;
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
  template <int n, typename P>
  TESSERA_DEVICE static Quad<n> fetch_quad(P block, int, int t, int) {
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
};

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
  TESSERA_DEVICE static uint32_t join(uint32_t low, uint32_t high, int s) {
    const int bits = 2 * (s % 4);  // the two high bits are at `bits` of a byte, and belong at 4
    const uint32_t nibbles = low >> 4 * (s / 2 % 2), pairs = bits < 4 ? high << (4 - bits) : high >> (bits - 4);
    return (nibbles & 0x0f0f0f0fu) | (pairs & 0x30303030u);
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
  template <int n, typename P>
  TESSERA_DEVICE static Quad<n> fetch_quad(P row, int lead, int t, int) {
    const RowWords<2, P> block(row, lead), words(row, lead + 4 * t);
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
  TESSERA_DEVICE static int32_t integer_scale(const Quad<kUnitSlices>& q, int i) {
    return signed_byte(q.scales[i / 4], i % 4);
  }
  TESSERA_DEVICE static int32_t own_scale(const Quad<kUnitSlices>& q, int i) { return signed_byte(q.own_scales, i); }
  TESSERA_DEVICE static uint32_t offset_word(const Quad<kUnitSlices>& q) { return q.own_scales; }
  TESSERA_DEVICE static float d(const Quad<kUnitSlices>& q) { return float_of_f16(static_cast<uint16_t>(q.d)); }
  TESSERA_DEVICE static float dmin(const Quad<kUnitSlices>&) { return 0; }
  TESSERA_DEVICE static Words2 half_scales(const Quad<kUnitSlices>& q, int s) {
    const int i = 2 * s;
    const uint32_t both =
        mul_f16x2(halves_of_bytes<128>(q.scales[i / 4] ^ 0x80808080u, i % 4, i % 4 + 1), half_weight(q.d));
    return {{permute_bytes(both, 0, 0x1010), permute_bytes(both, 0, 0x3232)}};
  }
};

}  // namespace tessera::kernels::cuda
