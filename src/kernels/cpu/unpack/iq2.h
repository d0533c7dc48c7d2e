// IQ2_XXS, IQ2_XS and IQ2_S over an integer vocabulary V; contract in unpack/k_quants.h, layouts in quant/<format>.h.
//
// A value is d / 8 * (2 s + 1) * sign * magnitude.
#pragma once

#include "kernels/cpu/unpack/codebook.h"
#include "quant/iq2_s.h"
#include "quant/iq2_xs.h"
#include "quant/iq2_xxs.h"
#include "quant/iq_codebooks.h"

namespace tessera::kernels::cpu {

// The magnitudes and their bias in the bytes of a dword.
consteval uint32_t iq2_levels(int bias) {
  uint32_t bytes = 0;
  for (int i = 0; i < 4; ++i) bytes |= static_cast<uint32_t>(bias + quant::kIQ2Magnitudes[i]) << 8 * i;
  return bytes;
}

// What these formats have in common.
template <class V, class Block_, int group>
struct IQ2 {
  using Block = Block_;
  using Bits = typename V::Bits;
  static constexpr int kGroup = group, kBias = 64, kMaxCode = kBias + 43;
  static constexpr bool kHasMin = false;
  static constexpr float kUnit = 0.125f;

  // The eight values from 4 k4 on of one entry of each row; their signs at byte t.
  template <int k4, int t, class Use>
  static void eight(Bits entry, Bits signs, Use&& use) {
    const Bits levels = V::splat32(iq2_levels(kBias)), own = splat_byte<V, t>(signs);
    use.template operator()<k4>(with_signs<V, kBias, false>(V::lookup(levels, nibbles<V, false>(entry)), own));
    use.template operator()<k4 + 1>(with_signs<V, kBias, true>(V::lookup(levels, nibbles<V, true>(entry)), own));
  }
};

template <class V>
struct UnpackIQ2XXS : IQ2<V, quant::IQ2_XXS, 32> {
  using Block = quant::IQ2_XXS;
  using Bits = typename V::Bits;

  template <class Use>
  static void codes(const Lanes<V>& lanes, Use&& use) {
    unroll_flat<4>([&]<int i>() {
      const auto x = lanes.sixteen(offsetof(Block, qs) + 16 * i);
      unroll_flat<2>([&]<int h>() {
        const Bits signs = signs_of_28_bits<V>(x.at[2 * h + 1]);
        unroll_flat<4>([&]<int t>() {
          const Bits entry = look_up<V, t>(kCodebooks.iq2_xxs, x.at[2 * h]);
          UnpackIQ2XXS::template eight<16 * i + 8 * h + 2 * t, t>(entry, signs, use);
        });
      });
    });
  }
  static Scales256<V> scales(const Lanes<V>& lanes) {
    Scales256<V> out;
    unroll_flat<2>([&]<int i>() {
      const Sixteen<V> a = lanes.sixteen(offsetof(Block, qs) + 32 * i);
      const Sixteen<V> b = lanes.sixteen(offsetof(Block, qs) + 32 * i + 16);
      out.scales[i] = odd_scales<V>(top_nibbles<V>(a.at[1], a.at[3], b.at[1], b.at[3]));
    });
    out.d = lanes.dword(offsetof(Block, d));
    return out;
  }
};

// The scales of sixteen groups of 16 values in eight bytes.
template <class V>
inline void set_nibble_scales(typename V::Bits low, typename V::Bits high, Scales256<V>& out) {
  unroll_flat<4>([&]<int c>() { out.scales[c] = odd_scales<V>(four_nibbles<V, c % 2>(c / 2 ? high : low)); });
}

template <class V>
struct UnpackIQ2XS : IQ2<V, quant::IQ2_XS, 16> {
  using Block = quant::IQ2_XS;
  using Bits = typename V::Bits;

  template <class Use>
  static void codes(const Lanes<V>& lanes, Use&& use) {
    unroll_flat<4>([&]<int i>() {
      const auto x = lanes.sixteen(offsetof(Block, qs) + 16 * i);
      unroll_flat<2>([&]<int h>() {
        const Bits &a = x.at[2 * h], &b = x.at[2 * h + 1];  // two groups each
        const Bits of_a = V::template shift_right<9>(a) & V::splat32(0x007f007f);
        const Bits signs = signs_of_fields<V>(V::and_or(V::template shift_right<1>(b), V::splat32(0x7f007f00), of_a));
        for_each_flat<2, 2>([&]<int c, int word>() {
          const Bits index = move_bits<V, 16 * word, 0>(c ? b : a) & V::splat32(511);
          const Bits entry = V::gather(kCodebooks.iq2_xs, index);
          UnpackIQ2XS::template eight<16 * i + 8 * h + 4 * c + 2 * word, 2 * word + c>(entry, signs, use);
        });
      });
    });
  }
  static Scales256<V> scales(const Lanes<V>& lanes) {
    const auto tail = lanes.sixteen(sizeof(Block) - 16);
    Scales256<V> out;
    set_nibble_scales<V>(tail.at[2], tail.at[3], out);
    out.d = lanes.dword(offsetof(Block, d));
    return out;
  }
};

template <class V>
struct UnpackIQ2S : IQ2<V, quant::IQ2_S, 16> {
  using Block = quant::IQ2_S;
  using Bits = typename V::Bits;

  template <class Use>
  static void codes(const Lanes<V>& lanes, Use&& use) {
    const auto tail = lanes.sixteen(offsetof(Block, qh));
    unroll_flat<2>([&]<int i>() {
      const auto x = lanes.sixteen(offsetof(Block, qs) + 16 * i),
                 signs = lanes.sixteen(offsetof(Block, signs) + 16 * i);
      for_each_flat<4, 4>([&]<int c, int t>() {
        const Bits entry = look_up<V, t, 8 * c + 2 * t, 0x300>(kCodebooks.iq2_s, x.at[c], tail.at[i]);
        UnpackIQ2S::template eight<32 * i + 8 * c + 2 * t, t>(entry, signs.at[c], use);
      });
    });
  }
  static Scales256<V> scales(const Lanes<V>& lanes) {
    const auto tail = lanes.sixteen(offsetof(Block, qh));
    Scales256<V> out;
    set_nibble_scales<V>(tail.at[2], tail.at[3], out);
    out.d = lanes.dword(offsetof(Block, d));
    return out;
  }
};

}  // namespace tessera::kernels::cpu
