// IQ4_XS over an integer vocabulary V; contract in unpack/k_quants.h, layout in quant/iq4_xs.h.
#pragma once

#include "kernels/cpu/unpack/lanes.h"
#include "kernels/cpu/unpack/levels.h"
#include "kernels/cpu/unpack/scales.h"
#include "kernels/cpu/unroll.h"
#include "quant/iq4_xs.h"

namespace tessera::kernels::cpu {

template <class V>
struct UnpackIQ4XS {
  using Block = quant::IQ4_XS;
  using Bits = typename V::Bits;
  static constexpr int kGroup = 32, kBias = kIQ4Bias, kMaxCode = 255;
  static constexpr bool kHasMin = false;

  template <class Use>
  static void codes(const Lanes<V>& lanes, Use&& use) {
    const Bits levels = wide_from_unsigned<V>(V::load_splat16(kIQ4Codes.code));
    unroll_flat<8>([&]<int g>() {
      const auto x = lanes.sixteen(offsetof(Block, qs) + 16 * g);
      unroll_flat<8>(
          [&]<int c>() { use.template operator()<8 * g + c>(V::lookup(levels, nibbles<V, c / 4>(x.at[c % 4]))); });
    });
  }
  static Scales256<V> scales(const Lanes<V>& lanes) {
    const auto header = lanes.sixteen(0);
    Scales256<V> out;
    out.d = header.at[0];
    // Scale 4 i + b: bits 3..0 from nibble 4 i + b of scales_l, 5..4 from bits 2 b + 8 i + 1 .. of scales_h.
    const Bits pairs = V::template shift_right32<16>(header.at[0]);
    unroll_flat<2>([&]<int i>() {
      Bits scale = four_nibbles<V, i>(header.at[1]);  // of scales_l
      const Bits eight = V::template shift_right32<8 * i>(pairs);
      scale = V::and_or(V::template shift_left32<4>(eight), V::splat32(0x30), scale);
      scale = V::and_or(V::template shift_left32<10>(eight), V::splat32(0x3000), scale);
      scale = V::and_or(V::template shift_left32<16>(eight), V::splat32(0x300000), scale);
      scale = V::and_or(V::template shift_left32<22>(eight), V::splat32(0x30000000), scale);
      out.scales[i] = V::subtract8(scale, V::splat8(32));
    });
    return out;
  }
};

}  // namespace tessera::kernels::cpu
