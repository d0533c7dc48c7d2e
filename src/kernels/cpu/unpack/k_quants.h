// The K formats over an integer vocabulary V (avx512/vocabulary.h). Layouts: quant/<format>.h.
//
// The contract of an unpacker F of 256 values, shared by all drivers:
//   codes<i>(block)  the 64 unsigned codes of code vector i = 0..3: values 32 i .. 32 i + 31 in the lower half, the
//   same
//                    of the block's second 128 values in the upper half; value = code - kBias
//   scales(a..d)     of four rows at once, see unpack/scales.h
//   kGroup           values that share a scale, 16 or 32
//   kBias            a power of two, or 0
//   kMaxCode         the largest code
#pragma once

#include "kernels/cpu/unpack/scales.h"
#include "quant/q2_k.h"
#include "quant/q3_k.h"
#include "quant/q4_k.h"
#include "quant/q5_k.h"
#include "quant/q6_k.h"

namespace tessera::kernels::cpu {

// Two runs of 32 bytes hold four of the eight groups of 32: low nibbles first.
template <class V, int i>
[[gnu::always_inline]] inline typename V::Bits nibbles_of_runs(const unsigned char* qs) {
  const auto x = V::load_halves(qs + 32 * (i / 2), qs + 64 + 32 * (i / 2));
  if constexpr (i % 2 == 0)
    return x & V::splat8(15);
  else
    return V::template shift_right<4>(x) & V::splat8(15);
}

// Bit pairs: bits 2i+1..2i of the 32 bytes of each half.
template <class V, int i>
[[gnu::always_inline]] inline typename V::Bits pairs_of_halves(const unsigned char* qs) {
  return V::template shift_right<2 * i>(V::load(qs)) & V::splat8(3);
}

// quant/scales_6bit.h for four rows; x holds d, dmin and the twelve bytes. Bytes 0..7 of the result are the scales,
// 8..15 the mins.
template <class V>
[[gnu::always_inline]] inline typename V::Bits scales_6bit(typename V::Bits x) {
  const auto low = V::shift_right_each(V::template shuffle_dwords<1, 3, 2, 3>(x), V::quarters(0, 0, 0, 4)) &
                   V::quarters(0x3f3f3f3f, 0x0f0f0f0f, 0x3f3f3f3f, 0x0f0f0f0f);
  const auto high = V::template shift_right32<2>(V::template shuffle_dwords<1, 1, 2, 2>(x));
  return V::and_or(high, V::quarters(0, 0x30303030, 0, 0x30303030), low);
}

// The last 16 bytes of four blocks: where the formats that do not begin with their scales keep d.
template <class V, class Block>
[[gnu::always_inline]] inline typename V::Bits load_tails(const Block* a, const Block* b, const Block* c,
                                                          const Block* d) {
  const auto tail = [](const Block* block) { return reinterpret_cast<const char*>(block + 1) - 16; };
  return V::load_quarters(tail(a), tail(b), tail(c), tail(d));
}

template <class V, class Block>
[[gnu::always_inline]] inline Scales256<V> scales_of_header(const Block* a, const Block* b, const Block* c,
                                                            const Block* d) {
  const auto header = V::load_quarters(a, b, c, d);
  const auto bytes = scales_6bit<V>(header);
  return {.scales = bytes, .mins = V::template shuffle_dwords<2, 3, 2, 3>(bytes), .d = header};
}

template <class V>
struct UnpackQ4K {
  using Block = quant::Q4_K;
  using Bits = typename V::Bits;
  static constexpr int kGroup = 32, kBias = 0, kMaxCode = 15;
  static constexpr bool kHasMin = true, kSigned = false;

  template <int i>
  [[gnu::always_inline]] static Bits codes(const Block* b) {
    return nibbles_of_runs<V, i>(b->qs);
  }
  [[gnu::always_inline]] static Scales256<V> scales(const Block* a, const Block* b, const Block* c, const Block* d) {
    return scales_of_header<V>(a, b, c, d);
  }
};

template <class V>
struct UnpackQ5K {
  using Block = quant::Q5_K;
  using Bits = typename V::Bits;
  static constexpr int kGroup = 32, kBias = 0, kMaxCode = 31;
  static constexpr bool kHasMin = true, kSigned = false;

  template <int i>
  [[gnu::always_inline]] static Bits codes(const Block* b) {
    // Bit j of qh's bytes belongs to group j: i in the lower half of the vector, i + 4 in the upper one.
    const Bits high = V::template shift_halves_to_bit<i, i + 4, 4>(V::load_halves(b->qh, b->qh));
    return V::and_or(high, V::splat8(16), nibbles_of_runs<V, i>(b->qs));
  }
  [[gnu::always_inline]] static Scales256<V> scales(const Block* a, const Block* b, const Block* c, const Block* d) {
    return scales_of_header<V>(a, b, c, d);
  }
};

template <class V>
struct UnpackQ6K {
  using Block = quant::Q6_K;
  using Bits = typename V::Bits;
  static constexpr int kGroup = 16, kBias = 32, kMaxCode = 63;
  static constexpr bool kHasMin = false, kSigned = true;

  template <int i>
  [[gnu::always_inline]] static Bits codes(const Block* b) {
    Bits low = V::load_halves(b->ql + 32 * (i % 2), b->ql + 64 + 32 * (i % 2));
    if constexpr (i >= 2) low = V::template shift_right<4>(low);
    const Bits qh = V::load(b->qh);
    Bits high;  // bits 2i+1..2i moved to 5..4
    if constexpr (i < 2)
      high = V::template shift_left<4 - 2 * i>(qh);
    else
      high = V::template shift_right<2 * i - 4>(qh);
    return V::and_or(high, V::splat8(0x30), low & V::splat8(15));
  }
  [[gnu::always_inline]] static Scales256<V> scales(const Block* a, const Block* b, const Block* c, const Block* d) {
    return {.scales = V::load_quarters(a->scales, b->scales, c->scales, d->scales),
            .mins = V::zero(),
            .d = V::template shift_right32<16>(V::template shuffle_dwords<3, 3, 3, 3>(load_tails<V>(a, b, c, d)))};
  }
};

template <class V>
struct UnpackQ2K {
  using Block = quant::Q2_K;
  using Bits = typename V::Bits;
  static constexpr int kGroup = 16, kBias = 0, kMaxCode = 3;
  static constexpr bool kHasMin = true, kSigned = false;

  template <int i>
  [[gnu::always_inline]] static Bits codes(const Block* b) {
    return pairs_of_halves<V, i>(b->qs);
  }
  [[gnu::always_inline]] static Scales256<V> scales(const Block* a, const Block* b, const Block* c, const Block* d) {
    const auto bytes = V::load_quarters(a->scales, b->scales, c->scales, d->scales);
    return {.scales = bytes & V::splat8(15),
            .mins = V::template shift_right<4>(bytes) & V::splat8(15),
            .d = V::template shuffle_dwords<3, 3, 3, 3>(load_tails<V>(a, b, c, d))};
  }
};

template <class V>
struct UnpackQ3K {
  using Block = quant::Q3_K;
  using Bits = typename V::Bits;
  static constexpr int kGroup = 16, kBias = 4, kMaxCode = 7;
  static constexpr bool kHasMin = false, kSigned = true;

  template <int i>
  [[gnu::always_inline]] static Bits codes(const Block* b) {
    const Bits high = V::template shift_halves_to_bit<i, i + 4, 2>(V::load_halves(b->hmask, b->hmask));
    return V::and_or(high, V::splat8(4), pairs_of_halves<V, i>(b->qs));
  }
  [[gnu::always_inline]] static Scales256<V> scales(const Block* a, const Block* b, const Block* c, const Block* d) {
    // The last 16 bytes: two of codes, the twelve of the scales, d.
    const auto x =
        V::shuffle_bytes(load_tails<V>(a, b, c, d), V::quarters(0x05040302, 0x09080706, 0x0d0c0b0a, 0x80800f0e));
    // Scales 0-3: low nibbles of bytes 0-3, 4-7 of bytes 4-7, 8-15 the high ones; two more bits each from bytes 8-11.
    const auto low =
        V::shift_right_each(V::template shuffle_dwords<0, 1, 0, 1>(x), V::quarters(0, 0, 4, 4)) & V::splat8(15);
    const auto high =
        V::shift_left_each(V::shift_right_each(V::template shuffle_dwords<2, 2, 2, 2>(x), V::quarters(0, 2, 4, 6)),
                           V::quarters(4, 4, 4, 4));
    return {.scales = V::subtract8(V::and_or(high, V::splat8(0x30), low), V::splat8(32)),
            .mins = V::zero(),
            .d = V::template shuffle_dwords<3, 3, 3, 3>(x)};
  }
};

}  // namespace tessera::kernels::cpu
