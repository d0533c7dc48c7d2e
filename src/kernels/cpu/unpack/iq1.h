// IQ1_S and IQ1_M over an integer vocabulary V; contract in unpack/k_quants.h, layouts in quant/<format>.h.
//
// A value is d / 8 * (2 s + 1) * (8 t + 1) or (8 t - 1), t in {-1, 0, 1}.
#pragma once

#include "kernels/cpu/unpack/codebook.h"
#include "quant/iq1_m.h"
#include "quant/iq1_s.h"

namespace tessera::kernels::cpu {

// What these formats have in common.
template <class V, class Block_, int group>
struct IQ1 {
  using Block = Block_;
  using Bits = typename V::Bits;
  static constexpr int kGroup = group, kBias = 16, kMaxCode = kBias + 9;
  static constexpr bool kHasMin = false;
  static constexpr float kUnit = 0.125f;

  // The code of t = -1 in each byte of a dword: one less than the value between where bit `bit` of x is set.
  template <int bit>
  static Bits lowest(Bits x) {
    const Bits own = splat_byte<V, bit / 8>(x);
    return V::subtract8(V::splat8(kBias - 8 + 1), move_bits<V, bit % 8, 1>(own) & V::splat8(2));
  }
  // The eight values from 4 k4 on of one entry of each row.
  template <int k4, class Use>
  static void eight(Bits entry, Bits lowest, Use&& use) {
    use.template operator()<k4>(V::add(move_bits<V, 0, 3>(entry) & V::splat8(0x18), lowest));
    use.template operator()<k4 + 1>(V::add(move_bits<V, 4, 3>(entry) & V::splat8(0x18), lowest));
  }
};

template <class V>
struct UnpackIQ1S : IQ1<V, quant::IQ1_S, 32> {
  using Block = quant::IQ1_S;
  using Bits = typename V::Bits;

  template <class Use>
  static void codes(const Lanes<V>& lanes, Use&& use) {
    const auto qh = lanes.sixteen(offsetof(Block, qh));
    unroll_flat<2>([&]<int i>() {
      const auto x = lanes.sixteen(offsetof(Block, qs) + 16 * i);
      unroll_flat<4>([&]<int c>() {
        constexpr int j = 4 * i + c, kWord = 16 * (j % 2);
        const Bits lowest = UnpackIQ1S::template lowest<kWord + 15>(qh.at[j / 2]);
        unroll_flat<4>([&]<int t>() {
          const Bits entry = look_up<V, t, kWord + 3 * t, 0x700>(kCodebooks.iq1, x.at[c], qh.at[j / 2]);
          UnpackIQ1S::template eight<8 * j + 2 * t>(entry, lowest, use);
        });
      });
    });
  }
  static Scales256<V> scales(const Lanes<V>& lanes) {
    const auto qh = lanes.sixteen(offsetof(Block, qh));
    Scales256<V> out;
    unroll_flat<2>([&]<int c>() {  // bits 14..12 of four words
      const Bits &a = qh.at[2 * c], &b = qh.at[2 * c + 1];
      Bits s = V::template shift_right32<12>(a) & V::splat32(7);
      s = V::and_or(V::template shift_right32<20>(a), V::splat32(0x700), s);
      s = V::and_or(V::template shift_left32<4>(b), V::splat32(0x70000), s);
      out.scales[c] = odd_scales<V>(V::and_or(V::template shift_right32<4>(b), V::splat32(0x7000000), s));
    });
    out.d = lanes.dword(offsetof(Block, d));
    return out;
  }
};

template <class V>
struct UnpackIQ1M : IQ1<V, quant::IQ1_M, 16> {
  using Block = quant::IQ1_M;
  using Bits = typename V::Bits;

  template <class Use>
  static void codes(const Lanes<V>& lanes, Use&& use) {
    const auto qh = lanes.sixteen(offsetof(Block, qh));
    unroll_flat<2>([&]<int i>() {
      const auto x = lanes.sixteen(offsetof(Block, qs) + 16 * i);
      for_each_flat<4, 4>([&]<int c, int t>() {
        constexpr int g = 16 * i + 4 * c + t, kNibble = 4 * (g % 8);
        const Bits entry = look_up<V, t, kNibble, 0x700>(kCodebooks.iq1, x.at[c], qh.at[g / 8]);
        UnpackIQ1M::template eight<2 * g>(entry, UnpackIQ1M::template lowest<kNibble + 3>(qh.at[g / 8]), use);
      });
    });
  }
  static Scales256<V> scales(const Lanes<V>& lanes) {
    const auto tail = lanes.sixteen(sizeof(Block) - 16);
    Scales256<V> out;
    unroll_flat<4>([&]<int w>() {  // four times three bits of each word
      const Bits word = move_bits<V, 16 * (w % 2), 0>(tail.at[2 + w / 2]);
      Bits s = word & V::splat32(7);
      s = V::and_or(V::template shift_left32<5>(word), V::splat32(0x700), s);
      s = V::and_or(V::template shift_left32<10>(word), V::splat32(0x70000), s);
      out.scales[w] = odd_scales<V>(V::and_or(V::template shift_left32<15>(word), V::splat32(0x7000000), s));
    });
    const Bits &a = tail.at[2], &b = tail.at[3];  // d: the top four bits of each word
    Bits d = V::template shift_right32<12>(a) & V::splat32(0xf);
    d = V::and_or(V::template shift_right32<24>(a), V::splat32(0xf0), d);
    d = V::and_or(V::template shift_right32<4>(b), V::splat32(0xf00), d);
    out.d = V::and_or(V::template shift_right32<16>(b), V::splat32(0xf000), d);
    return out;
  }
};

}  // namespace tessera::kernels::cpu
