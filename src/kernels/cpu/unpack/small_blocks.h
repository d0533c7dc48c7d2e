// The formats of 32 values over an integer vocabulary V. Layouts: quant/<format>.h.
//
// The contract of an unpacker F, shared by all drivers; b points to eight consecutive blocks of a row:
//   codes<i>(b)      the 64 unsigned codes of block i (lower half) and block i + 4 (upper half); value = code - kBias
//   scales(a..d)     d and m of eight blocks of four rows, see unpack/scales.h
//   kBias, kMaxCode  as in unpack/k_quants.h
#pragma once

#include "kernels/cpu/unpack/levels.h"
#include "kernels/cpu/unpack/scales.h"
#include "quant/iq4_nl.h"
#include "quant/q4_0.h"
#include "quant/q4_1.h"
#include "quant/q5_0.h"
#include "quant/q5_1.h"
#include "quant/q8_0.h"

namespace tessera::kernels::cpu {

// Nibbles of blocks i and i + 4: values 0..15 low, 16..31 high.
template <class V, int i, class Block>
[[gnu::always_inline]] inline typename V::Bits nibbles_of_blocks(const Block* b) {
  return V::nibbles_by_quarter(V::load_twice(b[i].qs, b[i + 4].qs));
}

// Bit j of the word qh is bit 4 of value j.
template <class V, int i, class Block>
[[gnu::always_inline]] inline typename V::Bits fifth_bits(const Block* b) {
  unsigned low, high;
  __builtin_memcpy(&low, b[i].qh, 4);
  __builtin_memcpy(&high, b[i + 4].qh, 4);
  return V::bytes_of_bits(low, high, 16);
}

template <class V, class Block>
[[gnu::always_inline]] inline Scales32<V> d_of_blocks(const Block* a, const Block* b, const Block* c, const Block* d) {
  return {.d = V::template gather_quarters<sizeof(Block)>(&a->d, &b->d, &c->d, &d->d), .m = V::zero()};
}

template <class V, class Block>
[[gnu::always_inline]] inline Scales32<V> d_and_m_of_blocks(const Block* a, const Block* b, const Block* c,
                                                            const Block* d) {
  return {.d = V::template gather_quarters<sizeof(Block)>(&a->d, &b->d, &c->d, &d->d),
          .m = V::template gather_quarters<sizeof(Block)>(&a->m, &b->m, &c->m, &d->m)};
}

template <class V>
struct UnpackQ4_0 {
  using Block = quant::Q4_0;
  using Bits = typename V::Bits;
  static constexpr int kBias = 8, kMaxCode = 15;
  static constexpr bool kHasMin = false;

  template <int i>
  [[gnu::always_inline]] static Bits codes(const Block* b) {
    return nibbles_of_blocks<V, i>(b);
  }
  [[gnu::always_inline]] static Scales32<V> scales(const Block* a, const Block* b, const Block* c, const Block* d) {
    return d_of_blocks<V>(a, b, c, d);
  }
};

template <class V>
struct UnpackQ4_1 {
  using Block = quant::Q4_1;
  using Bits = typename V::Bits;
  static constexpr int kBias = 0, kMaxCode = 15;
  static constexpr bool kHasMin = true;

  template <int i>
  [[gnu::always_inline]] static Bits codes(const Block* b) {
    return nibbles_of_blocks<V, i>(b);
  }
  [[gnu::always_inline]] static Scales32<V> scales(const Block* a, const Block* b, const Block* c, const Block* d) {
    return d_and_m_of_blocks<V>(a, b, c, d);
  }
};

template <class V>
struct UnpackQ5_0 {
  using Block = quant::Q5_0;
  using Bits = typename V::Bits;
  static constexpr int kBias = 16, kMaxCode = 31;
  static constexpr bool kHasMin = false;

  template <int i>
  [[gnu::always_inline]] static Bits codes(const Block* b) {
    return nibbles_of_blocks<V, i>(b) | fifth_bits<V, i>(b);
  }
  [[gnu::always_inline]] static Scales32<V> scales(const Block* a, const Block* b, const Block* c, const Block* d) {
    return d_of_blocks<V>(a, b, c, d);
  }
};

template <class V>
struct UnpackQ5_1 {
  using Block = quant::Q5_1;
  using Bits = typename V::Bits;
  static constexpr int kBias = 0, kMaxCode = 31;
  static constexpr bool kHasMin = true;

  template <int i>
  [[gnu::always_inline]] static Bits codes(const Block* b) {
    return nibbles_of_blocks<V, i>(b) | fifth_bits<V, i>(b);
  }
  [[gnu::always_inline]] static Scales32<V> scales(const Block* a, const Block* b, const Block* c, const Block* d) {
    return d_and_m_of_blocks<V>(a, b, c, d);
  }
};

template <class V>
struct UnpackQ8_0 {
  using Block = quant::Q8_0;
  using Bits = typename V::Bits;
  static constexpr int kBias = 128, kMaxCode = 255;
  static constexpr bool kHasMin = false;

  template <int i>
  [[gnu::always_inline]] static Bits codes(const Block* b) {
    return V::flip_sign(V::load_halves(b[i].qs, b[i + 4].qs));
  }
  [[gnu::always_inline]] static Scales32<V> scales(const Block* a, const Block* b, const Block* c, const Block* d) {
    return d_of_blocks<V>(a, b, c, d);
  }
};

template <class V>
struct UnpackIQ4NL {
  using Block = quant::IQ4_NL;
  using Bits = typename V::Bits;
  static constexpr int kBias = 128, kMaxCode = 255;
  static constexpr bool kHasMin = false;

  template <int i>
  [[gnu::always_inline]] static Bits codes(const Block* b) {
    return V::lookup(V::load_splat16(kIQ4Codes), nibbles_of_blocks<V, i>(b));
  }
  [[gnu::always_inline]] static Scales32<V> scales(const Block* a, const Block* b, const Block* c, const Block* d) {
    return d_of_blocks<V>(a, b, c, d);
  }
};

}  // namespace tessera::kernels::cpu
