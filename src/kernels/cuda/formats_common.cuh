// What the packed formats have in common: the views of formats.cuh as types, and loads from addresses that are only
// multiples of 2.
#pragma once

#include "kernels/cuda/words.cuh"

namespace tessera::kernels::cuda {

inline constexpr int kSlice = 32;
inline constexpr int kUnitValues = 256, kUnitSlices = kUnitValues / kSlice;
// Weights on their way to the tensor cores as f16 are this many times themselves: scales down to 4e-6 keep all their
// bits, and weights up to 4000 stay finite.
inline constexpr int kHalfWeight = 16;

template <int kScales>
struct Slice {
  uint32_t codes[8];
  float scale[kScales];
  float min;
};

// What the contract asks to be known of a packed format before any block is read.
template <typename BlockType, int alignment, int group, int scales, int bias, bool has_min, bool signed_codes,
          int code_factor = 1>
struct Packed {
  using Block = BlockType;
  static constexpr int kValues = Block::kValues, kBytes = sizeof(Block), kAlignment = alignment, kGroup = group;
  static constexpr int kScales = scales, kBias = bias, kCodeFactor = code_factor;
  static constexpr int kOddShift = 0;
  static constexpr bool kHasMin = has_min, kSignedCodes = signed_codes, kIsFloat = false;
};

// The activations one lane multiplies a quarter with, of one token (formats.cuh): four times sixteen codes, their sums
// as the format uses them, and the scale, or those of the quarter's two blocks.
template <typename F>
struct QuarterInput {
  static constexpr int kScales = F::kValues == kUnitValues ? 1 : 2;
  Words4 codes[4];
  typename F::CodeSums sums;
  float d[kScales];
};
// Of formats that use none.
struct NoSums {
  TESSERA_DEVICE void set(const int32_t (&)[4]) {}
};
// c + the products of four words of codes with four of activations.
TESSERA_DEVICE int32_t dot16(const uint32_t (&a)[4], const Words4& b, int32_t c) {
  TESSERA_UNROLL
  for (int i = 0; i < 4; ++i) c = dot4(a[i], b.word[i], c);
  return c;
}
// The same of some bits of four words, unsigned. A mask is all that it takes: where bits are 2^n times what they stand
// for, the sum is brought back, not each word.
inline constexpr uint32_t kLowNibbles = 0x0f0f0f0fu, kHighNibbles = 0xf0f0f0f0u;
template <uint32_t kBits>
TESSERA_DEVICE int32_t dot16_of(const Words4& a, const Words4& b, int32_t c) {
  TESSERA_UNROLL
  for (int i = 0; i < 4; ++i) c = dot4_unsigned(a.word[i] & kBits, b.word[i], c);
  return c;
}

// Bytes of one word's low nibbles and another one's high nibbles.
TESSERA_DEVICE uint32_t low_and_high_nibbles(uint32_t low, uint32_t high) {
  return choose_bits(kLowNibbles, low, high);
}

// f16 of bytes i and j of packed scales, less kZero. A byte c in the low bits of 1024.0 is 1024 + c.
template <int kZero>
TESSERA_DEVICE uint32_t halves_of_bytes(uint32_t word, int i, int j) {
  constexpr uint32_t kMinus = f16x2(-1024 - kZero);
  return add_f16x2(permute_bytes(0x64646464u, word, 0x0404 + static_cast<uint32_t>(i + 0x100 * j)), kMinus);
}

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
// Words of a packed row in shared memory from the place `lead` bytes after `row`, a multiple of 16. Where the place is
// no multiple of 4 a word is two loads and a shift; where it begins and how far to shift is worked out here, once, so
// that the loads have constant offsets and neighbours share theirs. The four bytes after a word are read too.
template <int kAlignment, typename P>
struct RowWords {
  P first;  // the multiple of 4 below the place
  uint32_t shift;

  TESSERA_DEVICE RowWords(P row, int lead)
      : first(row + (kAlignment >= 4 ? lead : lead & ~3)),
        shift(kAlignment >= 4 ? 0 : 8 * (static_cast<uint32_t>(lead) & 3)) {}
  // From `offset` bytes further on, a multiple of 4.
  TESSERA_DEVICE RowWords from(int offset) const {
    RowWords out = *this;
    out.first = first + offset;
    return out;
  }
  TESSERA_DEVICE uint32_t aligned(int offset) const { return *cast<const uint32_t>(first + offset); }
  // The word at a multiple of 4 from the place.
  TESSERA_DEVICE uint32_t word(int offset) const {
    if constexpr (kAlignment >= 4) return aligned(offset);
    return funnel_right(aligned(offset), aligned(offset + 4), shift);
  }
  // The 16 bits there, in the low half of a word whose high half may hold anything.
  TESSERA_DEVICE uint32_t low_half(int offset) const { return aligned(offset) >> shift; }
  TESSERA_DEVICE Words4 words4(int offset) const {
    if constexpr (kAlignment >= 16) return load_words4(first + offset);
    // The last word only if it holds bytes of ours: nobody may have written it.
    uint32_t words[5];
    TESSERA_UNROLL
    for (int i = 0; i < 4; ++i) words[i] = aligned(offset + 4 * i);
    words[4] = aligned(offset + (shift != 0 ? 16 : 12));
    Words4 out;
    TESSERA_UNROLL
    for (int i = 0; i < 4; ++i) out.word[i] = funnel_right(words[i], words[i + 1], shift);
    return out;
  }
};
template <typename P>
TESSERA_DEVICE uint32_t load_u16(P p) {
  return *cast<const uint16_t>(p);
}

// Two f16 of the value with these bits; of kHalfWeight times it, for codes that are code_factor times too large.
TESSERA_DEVICE uint32_t twice(uint32_t bits) { return permute_bytes(bits, 0, 0x1010); }
template <int code_factor = 1>
TESSERA_DEVICE uint32_t half_weight(uint32_t d) {
  constexpr uint32_t kFactor = f16x2(kHalfWeight / code_factor);
  return kFactor == f16x2(1) ? twice(d) : mul_f16x2(twice(d), kFactor);
}

}  // namespace tessera::kernels::cuda
