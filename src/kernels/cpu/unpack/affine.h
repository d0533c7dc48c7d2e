// Codes of the array framework's affine form over an integer vocabulary V (affine_groups.h): the contract of formats of
// 32 values in unpack/small_blocks.h, but for scales(), because the numbers of a group lie apart (linear_affine.h).
//
// A block is the codes of 32 neighbours: 4 * bits bytes, value j in bits [j * bits, (j + 1) * bits).
#pragma once

#include <cstdint>

#include "kernels/cpu/affine_groups.h"

namespace tessera::kernels::cpu {

// Where the 16 values of quarter q of code vector i lie among the bytes of eight blocks, and how to bring them into
// place: a load of 16 bytes that hold them, then a shuffle that gives each dword the bytes with its four values.
template <int bits>
struct QuarterOfCodes {
  int load_at;
  unsigned char pattern[16];

  constexpr QuarterOfCodes(int i, int q) : load_at(0), pattern{} {
    const int first = 4 * bits * (i + 4 * (q / 2)) + 2 * bits * (q % 2);
    const int last_load = 32 * bits - 16;  // a load may not pass the end of the blocks
    load_at = first < last_load ? first : last_load;
    for (int dword = 0; dword < 4; ++dword) {
      const int bit = 4 * bits * dword, n_bytes = (bit % 8 + 4 * bits + 7) / 8;
      for (int byte = 0; byte < 4; ++byte)
        pattern[4 * dword + byte] =
            static_cast<unsigned char>(byte < n_bytes ? first - load_at + bit / 8 + byte : 0x80);  // 0x80: zero
    }
  }
};

template <class V, int bits_>
struct UnpackAffine {
  static constexpr int bits = bits_;
  using Bits = typename V::Bits;
  struct Block {
    static constexpr int kValues = 32;
    unsigned char at[4 * bits];
  };
  static constexpr int kBias = center_of_codes(bits), kMaxCode = (1 << bits) - 1;
  static constexpr bool kHasMin = true;

  template <int i>
  [[gnu::always_inline]] static Bits codes(const Block* b) {
    if constexpr (bits == 8) {
      return V::load_halves(b + i, b + i + 4);
    } else if constexpr (bits == 4) {  // each byte twice, as a word: its low nibble, then its high one
      const Bits twice = V::shuffle_bytes(V::load_twice(b + i, b + i + 4), V::load(kBytesTwice.at));
      const Bits high = V::template shift_right<4>(twice) & V::splat32(0x0f000f00);
      return V::and_or(twice, V::splat32(0x000f000f), high);
    } else {
      constexpr uint32_t kMask = kMaxCode;
      const Bits four = four_in_dwords<i>(b);
      const Bits first = four & V::splat32(kMask);
      const Bits second = V::and_or(V::template shift_left32<8 - bits>(four), V::splat32(kMask << 8), first);
      const Bits third = V::and_or(V::template shift_left32<16 - 2 * bits>(four), V::splat32(kMask << 16), second);
      return V::and_or(V::template shift_left32<24 - 3 * bits>(four), V::splat32(kMask << 24), third);
    }
  }

 private:
  struct Pattern {
    alignas(64) unsigned char at[64];
  };
  static constexpr Pattern kBytesTwice = [] {
    Pattern out{};
    for (int j = 0; j < 64; ++j) out.at[j] = static_cast<unsigned char>(j % 32 / 2);
    return out;
  }();
  template <int i>
  static constexpr Pattern kPattern = [] {
    Pattern out{};
    for (int j = 0; j < 64; ++j) out.at[j] = QuarterOfCodes<bits>(i, j / 16).pattern[j % 16];
    return out;
  }();
  template <int i, int q>
  static constexpr int kLoadAt = QuarterOfCodes<bits>(i, q).load_at;

  // Values 4 d .. 4 d + 3 of each quarter at the low end of its dword d.
  template <int i>
  [[gnu::always_inline]] static Bits four_in_dwords(const Block* b) {
    const unsigned char* p = b->at;
    const Bits bytes = V::load_quarters(p + kLoadAt<i, 0>, p + kLoadAt<i, 1>, p + kLoadAt<i, 2>, p + kLoadAt<i, 3>);
    const Bits dwords = V::shuffle_bytes(bytes, V::load(kPattern<i>.at));
    if constexpr (bits % 2 == 0) return dwords;
    return V::shift_right_each(dwords, V::quarters(0, 4, 0, 4));  // every second one begins in the middle of a byte
  }
};

}  // namespace tessera::kernels::cpu
