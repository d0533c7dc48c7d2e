// Codes of the array framework's affine form over an integer vocabulary V (affine_groups.h): the contract of
// unpack/small_blocks.h, but for head() and numbers(), because the numbers of a group lie apart (linear_affine.h).
//
// A block is the codes of 32 neighbours: 4 * bits bytes, value j in bits [j * bits, (j + 1) * bits).
#pragma once

#include <cstdint>

#include "kernels/cpu/affine_groups.h"
#include "kernels/cpu/unpack/lanes.h"
#include "kernels/cpu/unpack/scales.h"
#include "kernels/cpu/unroll.h"

namespace tessera::kernels::cpu {

template <class V, int bits_>
struct UnpackAffine {
  static constexpr int bits = bits_;
  using Bits = typename V::Bits;
  struct Block {
    static constexpr int kValues = 32;
    unsigned char at[4 * bits];
  };
  static constexpr int kGroup = 32, kBias = center_of_codes(bits), kMaxCode = (1 << bits) - 1;
  static constexpr bool kHasMin = true;

  template <class Use>
  static void codes(const Lanes<V>& lanes, Use&& use) {
    Bits before = V::zero();  // the dword before these four
    unroll_flat<2 * bits>([&]<int i>() {
      const auto x = lanes.sixteen(16 * i);
      constexpr int kBegin = 32 * i / bits, kEnd = 32 * (i + 1) / bits;  // the vectors that end in these dwords
      unroll_flat<kEnd - kBegin>([&]<int j>() {
        constexpr int k4 = kBegin + j, kBit = 4 * bits * k4 - 128 * i;
        if constexpr (bits == 4)
          use.template operator()<k4>(four_nibbles<V, kBit % 32 / 16>(x.at[kBit / 32]));
        else
          use.template operator()<k4>(spread(bits_from<kBit>(before, x)));
      });
      before = x.at[3];
    });
  }

 private:
  // The bits from `bit` on at the low end of each dword. Less than 0: they begin in `before`.
  template <int bit>
  static Bits bits_from(Bits before, const Sixteen<V>& x) {
    constexpr int kShift = (bit + 32) % 32;
    const Bits first = bit < 0 ? before : x.at[bit < 0 ? 0 : bit / 32];
    if constexpr (kShift == 0) {
      return first;
    } else {
      const Bits low = V::template shift_right32<kShift>(first);
      if constexpr (kShift + 4 * bits <= 32) return low;
      return V::template shift_left32<32 - kShift>(x.at[bit < 0 ? 0 : bit / 32 + 1]) | low;
    }
  }
  // Four values at the low end of each dword to its four bytes.
  static Bits spread(Bits x) {
    if constexpr (bits == 8) return wide_from_unsigned<V>(x);
    return spread_codes<V, bits>(x);
  }
};

}  // namespace tessera::kernels::cpu
