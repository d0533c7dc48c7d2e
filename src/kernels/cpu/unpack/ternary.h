// TQ1_0 and TQ2_0 over an integer vocabulary V; contract in unpack/k_quants.h, layouts in quant/<format>.h.
#pragma once

#include "kernels/cpu/unpack/lanes.h"
#include "kernels/cpu/unpack/scales.h"
#include "kernels/cpu/unroll.h"
#include "quant/tq1_0.h"
#include "quant/tq2_0.h"

namespace tessera::kernels::cpu {

// What these formats have in common: one scale for all of a block, the last word of it.
template <class V, class Block_>
struct Ternary {
  using Block = Block_;
  static constexpr int kGroup = 32, kBias = 1;
  static constexpr bool kHasMin = false;

  static Scales256<V> scales(const Lanes<V>& lanes) {
    static_assert(offsetof(Block, d) == sizeof(Block) - 2);
    Scales256<V> out;
    out.scales[0] = out.scales[1] = V::splat8(1);
    out.d = V::template shift_right32<16>(lanes.sixteen(sizeof(Block) - 16).at[3]);
    return out;
  }
};

template <class V>
struct UnpackTQ2_0 : Ternary<V, quant::TQ2_0> {
  static constexpr int kMaxCode = 3;

  template <class Use>
  static void codes(const Lanes<V>& lanes, Use&& use) {
    unroll_flat<2>([&]<int half>() {
      constexpr int64_t kRun = offsetof(quant::TQ2_0, qs) + 32 * half;
      const Sixteen<V> x[] = {lanes.sixteen(kRun), lanes.sixteen(kRun + 16)};
      for_each_flat<4, 8>([&]<int j, int c>() {
        use.template operator()<32 * half + 8 * j + c>(move_bits<V, 2 * j, 0>(x[c / 4].at[c % 4]) & V::splat8(3));
      });
    });
  }
};

template <class V>
struct UnpackTQ1_0 : Ternary<V, quant::TQ1_0> {
  using Block = quant::TQ1_0;
  using Bits = typename V::Bits;
  static constexpr int kMaxCode = 2;

  template <class Use>
  static void codes(const Lanes<V>& lanes, Use&& use) {
    Digits first[8];
    unroll_flat<2>([&]<int i>() {
      const auto x = lanes.sixteen(offsetof(Block, qs) + 16 * i);
      unroll_flat<4>([&]<int c>() { first[4 * i + c] = Digits(x.at[c]); });
    });
    for_each_flat<5, 8>([&]<int n, int c>() { use.template operator()<8 * n + c>(first[c].next()); });
    const auto x = lanes.sixteen(offsetof(Block, qs) + 32);
    Digits then[] = {Digits(x.at[0]), Digits(x.at[1]), Digits(x.at[2]), Digits(x.at[3])};
    for_each_flat<5, 4>([&]<int n, int c>() { use.template operator()<40 + 4 * n + c>(then[c].next()); });
    Digits last(lanes.sixteen(offsetof(Block, qh) - 12).at[3]);
    unroll_flat<4>([&]<int n>() { use.template operator()<60 + n>(last.next()); });
  }

 private:
  // Bytes as fractions of 256 in base 3, digit after digit: three times what is left carries one into the upper byte of
  // a word.
  class Digits {
   public:
    Digits() = default;
    explicit Digits(Bits bytes)
        : even_(bytes & V::splat32(0x00ff00ff)), odd_(V::template shift_right<8>(bytes) & V::splat32(0x00ff00ff)) {}
    Bits next() {
      even_ = three_times(even_);
      odd_ = three_times(odd_);
      const Bits digits = V::template shift_right<8>(even_) | (odd_ & V::splat32(0xff00ff00));
      even_ = even_ & V::splat32(0x00ff00ff);
      odd_ = odd_ & V::splat32(0x00ff00ff);
      return digits;
    }

   private:
    static Bits three_times(Bits words) { return V::add(V::template shift_left<1>(words), words); }
    Bits even_, odd_;
  };
};

}  // namespace tessera::kernels::cpu
