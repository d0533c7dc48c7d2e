// The packed formats as 32 consecutive values at a time - a slice - which is one lane's work. Layouts:
// quant/<format>.h.
//
// The contract of a format F:
//   Block, kValues, kBytes  a block of its rows
//   kAlignment              a power of two that divides kBytes, at most 16: what may be assumed of a block's address
//   kGroup                  values per scale of the int8 activations it is multiplied with (kernels/cpu/arithmetic.md)
//   kScales                 scales of a slice: 1, or 2 where each 16 values have their own
//   kHasMin, kBias          value = scale * (code - kBias) - min
//   fetch(block, s)         slice s of the block: only loads, so that many can be in flight
//   unpack(raw, s)          the codes in order, four signed bytes in a word, with scales and min
// Plain floats have value(row, i) and values4(row, i) instead.
#pragma once

#include "kernels/cuda/words.cuh"
#include "quant/q4_0.h"
#include "quant/q4_k.h"
#include "quant/q5_k.h"
#include "quant/q6_k.h"
#include "quant/q8_0.h"

namespace tessera::kernels::cuda {

inline constexpr int kSlice = 32;

template <int kScales>
struct Slice {
  uint32_t codes[8];
  float scale[kScales];
  float min;
};

// n words from an address that is a multiple of 2.
template <int n, typename P>
TESSERA_DEVICE void load_words(P p, uint32_t (&out)[n]) {
  const uint32_t shift = misalignment(p, 4);
  const auto words = cast<const uint32_t>(p - static_cast<int>(shift));
  uint32_t low = words[0];
  TESSERA_UNROLL
  for (int i = 0; i < n; ++i) {
    // The last word is read only when it holds bytes of ours: it may lie past the end of the buffer.
    const uint32_t high = i + 1 < n ? words[i + 1] : words[n - 1 + (shift != 0)];
    out[i] = funnel_right(low, high, 8 * shift);
    low = high;
  }
}
template <typename P>
TESSERA_DEVICE uint32_t load_u16(P p) {
  return *cast<const uint16_t>(p);
}

// Header of Q4_K and Q5_K: d, dmin and the 6-bit scales and mins (quant/scales_6bit.h) of sub-block j.
template <int kScales>
TESSERA_DEVICE void unpack_k_scales(const Words4& header, int j, Slice<kScales>& out) {
  const uint32_t shift = 8 * (static_cast<uint32_t>(j) % 4);
  const uint32_t a = header.word[1] >> shift, b = header.word[2] >> shift, c = header.word[3] >> shift;
  const uint32_t scale = j < 4 ? a & 63 : (c & 15) | (a >> 2 & 0x30);
  const uint32_t min = j < 4 ? b & 63 : (c >> 4 & 15) | (b >> 2 & 0x30);
  out.scale[0] = float_of_f16(static_cast<uint16_t>(header.word[0])) * static_cast<float>(scale);
  out.min = float_of_f16(static_cast<uint16_t>(header.word[0] >> 16)) * static_cast<float>(min);
}

// What the contract asks to be known of a packed format before any block is read.
template <typename BlockType, int alignment, int group, int scales, int bias, bool has_min>
struct Packed {
  using Block = BlockType;
  static constexpr int kValues = Block::kValues, kBytes = sizeof(Block), kAlignment = alignment, kGroup = group;
  static constexpr int kScales = scales, kBias = bias;
  static constexpr bool kHasMin = has_min, kIsFloat = false;
};

struct Q4K : Packed<quant::Q4_K, 16, 256, 1, 0, true> {
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
};

struct Q5K : Packed<quant::Q5_K, 16, 256, 1, 0, true> {
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
  TESSERA_DEVICE static Slice<1> unpack(const Raw& raw, int s) {
    Slice<1> out;
    const int shift = 4 * (s % 2);
    TESSERA_UNROLL
    for (int i = 0; i < 8; ++i) {
      const uint32_t low = raw.low[i / 4].word[i % 4] >> shift & 0x0f0f0f0fu;
      out.codes[i] = low | (raw.high[i / 4].word[i % 4] >> s & 0x01010101u) << 4;
    }
    unpack_k_scales(raw.header, s, out);
    return out;
  }
};

struct Q6K : Packed<quant::Q6_K, 2, 256, 2, 32, false> {
  struct Raw {
    uint32_t low[8], high[8], scales, d;
  };
  template <typename P>
  TESSERA_DEVICE static Raw fetch(P block, int s) {
    // Slice s is values 128 h + 32 r .. + 31 with h = s / 4, r = s % 4.
    Raw raw;
    load_words(block + (s / 4 * 64 + s % 2 * 32), raw.low);
    load_words(block + (128 + s / 4 * 32), raw.high);
    raw.scales = load_u16(block + (192 + 2 * s));
    raw.d = load_u16(block + 208);
    return raw;
  }
  TESSERA_DEVICE static Slice<2> unpack(const Raw& raw, int s) {
    Slice<2> out;
    const int low_shift = 4 * (s / 2 % 2), high_shift = 2 * (s % 4);
    TESSERA_UNROLL
    for (int i = 0; i < 8; ++i)
      out.codes[i] = (raw.low[i] >> low_shift & 0x0f0f0f0fu) | (raw.high[i] >> high_shift & 0x03030303u) << 4;
    const float d = float_of_f16(static_cast<uint16_t>(raw.d));
    out.scale[0] = d * static_cast<float>(static_cast<int8_t>(raw.scales));
    out.scale[1] = d * static_cast<float>(static_cast<int8_t>(raw.scales >> 8));
    out.min = 0;
    return out;
  }
};

// Blocks of one slice: d, then the codes.
template <typename BlockType, int bias>
struct PackedSlice : Packed<BlockType, 2, 32, 1, bias, false> {
  struct Raw {
    uint32_t codes[(sizeof(BlockType) - 2) / 4], d;
  };
  template <typename P>
  TESSERA_DEVICE static Raw fetch(P block, int) {
    Raw raw;
    load_words(block + 2, raw.codes);
    raw.d = load_u16(block);
    return raw;
  }
};

struct Q8_0 : PackedSlice<quant::Q8_0, 0> {
  TESSERA_DEVICE static Slice<1> unpack(const Raw& raw, int) {
    Slice<1> out;
    TESSERA_UNROLL
    for (int i = 0; i < 8; ++i) out.codes[i] = raw.codes[i];
    out.scale[0] = float_of_f16(static_cast<uint16_t>(raw.d));
    out.min = 0;
    return out;
  }
};

struct Q4_0 : PackedSlice<quant::Q4_0, 8> {
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
};

// Plain floats, four values of a row at a time.
template <int kElementBytes>
struct Floats {
  static constexpr int kValues = kSlice, kBytes = kSlice * kElementBytes, kAlignment = kElementBytes, kGroup = 0;
  static constexpr bool kIsFloat = true;
};
struct F32W : Floats<4> {
  template <typename P>
  TESSERA_DEVICE static float value(P row, int i) {
    return cast<const float>(row)[i];
  }
  template <typename P>
  TESSERA_DEVICE static void values4(P row, int i, float (&out)[4]) {
    TESSERA_UNROLL
    for (int j = 0; j < 4; ++j) out[j] = value(row, i + j);
  }
};
template <float (*kWiden)(uint16_t)>
struct HalfW : Floats<2> {
  template <typename P>
  TESSERA_DEVICE static float value(P row, int i) {
    return kWiden(cast<const uint16_t>(row)[i]);
  }
  template <typename P>
  TESSERA_DEVICE static void values4(P row, int i, float (&out)[4]) {
    uint32_t words[2];
    load_words(row + 2 * i, words);
    TESSERA_UNROLL
    for (int j = 0; j < 4; ++j) out[j] = kWiden(static_cast<uint16_t>(words[j / 2] >> 16 * (j % 2)));
  }
};
struct F16W : HalfW<float_of_f16> {};
struct BF16W : HalfW<float_of_bf16> {};

// Four values of a row of k from i on; those at k and past it are 0.
template <typename F, typename P>
TESSERA_DEVICE void float_values4(P row, int i, int k, float (&out)[4]) {
  if (i + 4 <= k) return F::values4(row, i, out);
  TESSERA_UNROLL
  for (int j = 0; j < 4; ++j) out[j] = i + j < k ? F::value(row, i + j) : 0.0f;
}

// Value i of a slice.
template <typename F>
TESSERA_DEVICE float value_of(const Slice<F::kScales>& slice, int i) {
  const int code = static_cast<int8_t>(slice.codes[i / 4] >> 8 * (i % 4));
  const float value = slice.scale[i * F::kScales / kSlice] * static_cast<float>(code - F::kBias);
  return F::kHasMin ? value - slice.min : value;
}

// Slice s of a row of blocks.
template <typename F, typename P>
TESSERA_DEVICE auto fetch_slice(P row, int s) {
  constexpr int kSlices = F::kValues / kSlice;
  return F::fetch(row + s / kSlices * F::kBytes, s % kSlices);
}

// The 32 values of slice s of a row of k, as f32; those at k and past it are 0.
template <typename F, typename P>
TESSERA_DEVICE void dequantize_slice(P row, int s, int k, float (&out)[kSlice]) {
  if constexpr (F::kIsFloat) {
    TESSERA_UNROLL
    for (int i = 0; i < kSlice; i += 4) {
      float four[4];
      float_values4<F>(row, kSlice * s + i, k, four);
      for (int j = 0; j < 4; ++j) out[i + j] = four[j];
    }
  } else {
    const auto slice = F::unpack(fetch_slice<F>(row, s), s % (F::kValues / kSlice));
    TESSERA_UNROLL
    for (int i = 0; i < kSlice; ++i) out[i] = value_of<F>(slice, i);
  }
}

}  // namespace tessera::kernels::cuda
