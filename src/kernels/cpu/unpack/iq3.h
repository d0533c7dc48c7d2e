// IQ3_XXS and IQ3_S over an integer vocabulary V; contract in unpack/k_quants.h, layouts in quant/<format>.h.
#pragma once

#include "kernels/cpu/unpack/codebook.h"
#include "quant/iq3_s.h"
#include "quant/iq3_xxs.h"

namespace tessera::kernels::cpu {

// A value is d / 4 * (2 s + 1) * sign * magnitude.
template <class V>
struct UnpackIQ3XXS {
  using Block = quant::IQ3_XXS;
  using Bits = typename V::Bits;
  static constexpr int kGroup = 32, kBias = kIQ3_XXS_bias, kMaxCode = kBias + 62;
  static constexpr bool kHasMin = false;
  static constexpr float kUnit = 0.25f;

  template <class Use>
  static void codes(const Lanes<V>& lanes, Use&& use) {
    unroll_flat<2>([&]<int half>() {
      const auto fields = lanes.sixteen(offsetof(Block, signs) + 16 * half);
      const Sixteen<V> x[] = {lanes.sixteen(offsetof(Block, qs) + 32 * half),
                              lanes.sixteen(offsetof(Block, qs) + 32 * half + 16)};
      unroll_flat<4>([&]<int j>() {
        const Bits signs = signs_of_28_bits<V>(fields.at[j]);
        for_each_flat<4, 2>([&]<int t, int upper>() {
          constexpr int c = 2 * t + upper;
          const Bits entry = look_up<V, c % 4>(kCodebooks.iq3_xxs, x[j / 2].at[2 * (j % 2) + c / 4]);
          use.template operator()<32 * half + 8 * j + c>(with_signs<V, kBias, upper>(entry, splat_byte<V, t>(signs)));
        });
      });
    });
  }
  static Scales256<V> scales(const Lanes<V>& lanes) {
    Scales256<V> out;
    unroll_flat<2>([&]<int i>() {
      const auto x = lanes.sixteen(offsetof(Block, signs) + 16 * i);
      out.scales[i] = odd_scales<V>(top_nibbles<V>(x.at[0], x.at[1], x.at[2], x.at[3]));
    });
    out.d = lanes.dword(offsetof(Block, d));
    return out;
  }
};

// A value is d * (2 s + 1) * sign * magnitude.
template <class V>
struct UnpackIQ3S {
  using Block = quant::IQ3_S;
  using Bits = typename V::Bits;
  static constexpr int kGroup = 32, kBias = kIQ3_S_bias, kMaxCode = kBias + 15;
  static constexpr bool kHasMin = false;

  template <class Use>
  static void codes(const Lanes<V>& lanes, Use&& use) {
    const auto qh = lanes.sixteen(offsetof(Block, qh));
    unroll_flat<2>([&]<int half>() {
      const auto signs = lanes.sixteen(offsetof(Block, signs) + 16 * half);
      const Sixteen<V> x[] = {lanes.sixteen(offsetof(Block, qs) + 32 * half),
                              lanes.sixteen(offsetof(Block, qs) + 32 * half + 16)};
      for_each_flat<16, 2>([&]<int eight, int upper>() {
        constexpr int c = 2 * eight + upper;  // of this half
        const Bits entry = look_up<V, c % 4, c, 0x100>(kCodebooks.iq3_s, x[c / 16].at[c / 4 % 4], qh.at[half]);
        const Bits own = splat_byte<V, eight % 4>(signs.at[eight / 4]);
        use.template operator()<32 * half + c>(with_signs<V, kBias, upper>(entry, own));
      });
    });
  }
  static Scales256<V> scales(const Lanes<V>& lanes) {
    const Bits eight = lanes.sixteen(sizeof(Block) - 16).at[3];
    Scales256<V> out;
    unroll_flat<2>([&]<int c>() { out.scales[c] = odd_scales<V>(four_nibbles<V, c>(eight)); });
    out.d = lanes.dword(offsetof(Block, d));
    return out;
  }
};

}  // namespace tessera::kernels::cpu
