// The K formats over an integer vocabulary V (avx512/vocabulary.h). Layouts: quant/<format>.h.
//
// The contract of an unpacker F of 256 values, shared by all drivers:
//   codes(lanes, use)  use.template operator()<k4>(codes) for k4 = 0..63, those of a group one after the other: values
//                      4 k4 .. 4 k4 + 3 of each row as unsigned codes; value = code - kBias. Wide ones: unpack/scales.h
//   scales(lanes)      see unpack/scales.h
//   kGroup             values that share a scale, 16 or 32
//   kBias              a power of two, or 0
//   kMaxCode           the largest code
//   kUnit              what d counts, a power of two: 1 if there is none
#pragma once

#include "kernels/cpu/unpack/lanes.h"
#include "kernels/cpu/unpack/scales.h"
#include "kernels/cpu/unroll.h"
#include "quant/q2_k.h"
#include "quant/q3_k.h"
#include "quant/q4_k.h"
#include "quant/q5_k.h"
#include "quant/q6_k.h"

namespace tessera::kernels::cpu {

// d, dmin and quant/scales_6bit.h, the first sixteen bytes.
template <class V>
inline Scales256<V> scales_of_header(const Lanes<V>& lanes) {
  const auto header = lanes.sixteen(0);
  const auto &a = header.at[1], &b = header.at[2], &c = header.at[3];
  const auto low6 = V::splat8(0x3f), high2 = V::splat8(0x30);
  Scales256<V> out;
  out.d = header.at[0];
  out.scales[0] = a & low6;
  out.scales[1] = V::and_or(move_bits<V, 6, 4>(a), high2, nibbles<V, false>(c));
  out.mins[0] = b & low6;
  out.mins[1] = V::and_or(move_bits<V, 6, 4>(b), high2, nibbles<V, true>(c));
  return out;
}

// use<k4>(codes) for 4-bit codes in four runs of 32 bytes from `qs` on, run r: values 64 r .. 64 r + 31 in the low
// nibbles, the 32 after them in the high ones.
template <class V, class Use>
inline void nibbles_of_runs(const Lanes<V>& lanes, int64_t qs, Use&& use) {
  unroll_flat<4>([&]<int run>() {
    const Sixteen<V> x[] = {lanes.sixteen(qs + 32 * run), lanes.sixteen(qs + 32 * run + 16)};
    unroll_flat<2>([&]<int high>() {
      unroll_flat<8>(
          [&]<int c>() { use.template operator()<16 * run + 8 * high + c>(nibbles<V, high>(x[c / 4].at[c % 4])); });
    });
  });
}

template <class V>
struct UnpackQ4K {
  using Block = quant::Q4_K;
  using Bits = typename V::Bits;
  static constexpr int kGroup = 32, kBias = 0, kMaxCode = 15;
  static constexpr bool kHasMin = true;

  template <class Use>
  static void codes(const Lanes<V>& lanes, Use&& use) {
    nibbles_of_runs<V>(lanes, offsetof(Block, qs), use);
  }
  static Scales256<V> scales(const Lanes<V>& lanes) { return scales_of_header<V>(lanes); }
};

template <class V>
struct UnpackQ5K {
  using Block = quant::Q5_K;
  using Bits = typename V::Bits;
  static constexpr int kGroup = 32, kBias = 0, kMaxCode = 31;
  static constexpr bool kHasMin = true;

  template <class Use>
  static void codes(const Lanes<V>& lanes, Use&& use) {
    const Sixteen<V> qh[] = {lanes.sixteen(offsetof(Block, qh)), lanes.sixteen(offsetof(Block, qh) + 16)};
    nibbles_of_runs<V>(lanes, offsetof(Block, qs), [&]<int k4>(Bits low) {
      const Bits high = move_bits<V, k4 / 8, 4>(qh[k4 % 8 / 4].at[k4 % 4]);  // bit j: group j
      use.template operator()<k4>(V::and_or(high, V::splat8(16), low));
    });
  }
  static Scales256<V> scales(const Lanes<V>& lanes) { return scales_of_header<V>(lanes); }
};

// Values 128 half + 32 j + 16 part .. + 15, j = 0..3, come from the same bytes.
template <class F>
inline void for_each_part(F&& f) {
  for_each_flat<2, 2>(f);
}

template <class V>
struct UnpackQ6K {
  using Block = quant::Q6_K;
  using Bits = typename V::Bits;
  static constexpr int kGroup = 16, kBias = 32, kMaxCode = 63;
  static constexpr bool kHasMin = false;

  template <class Use>
  static void codes(const Lanes<V>& lanes, Use&& use) {
    for_each_part([&]<int part, int half>() {
      constexpr int64_t kLow = offsetof(Block, ql) + 64 * half + 16 * part;
      const Sixteen<V> ql[] = {lanes.sixteen(kLow), lanes.sixteen(kLow + 32)};
      const auto qh = lanes.sixteen(offsetof(Block, qh) + 32 * half + 16 * part);
      for_each_flat<4, 4>([&]<int j, int c>() {
        const Bits low = nibbles<V, j / 2>(ql[j % 2].at[c]), high = move_bits<V, 2 * j, 4>(qh.at[c]);
        use.template operator()<32 * half + 8 * j + 4 * part + c>(V::and_or(high, V::splat8(0x30), low));
      });
    });
  }
  static Scales256<V> scales(const Lanes<V>& lanes) {
    const auto scales = lanes.sixteen(offsetof(Block, scales)), tail = lanes.sixteen(sizeof(Block) - 16);
    return {.scales = {scales.at[0], scales.at[1], scales.at[2], scales.at[3]},
            .mins = {},
            .d = V::template shift_right32<16>(tail.at[3])};
  }
};

template <class V>
struct UnpackQ2K {
  using Block = quant::Q2_K;
  using Bits = typename V::Bits;
  static constexpr int kGroup = 16, kBias = 0, kMaxCode = 3;
  static constexpr bool kHasMin = true;

  template <class Use>
  static void codes(const Lanes<V>& lanes, Use&& use) {
    for_each_part([&]<int part, int half>() {
      const auto qs = lanes.sixteen(offsetof(Block, qs) + 32 * half + 16 * part);
      for_each_flat<4, 4>([&]<int j, int c>() {
        use.template operator()<32 * half + 8 * j + 4 * part + c>(move_bits<V, 2 * j, 0>(qs.at[c]) & V::splat8(3));
      });
    });
  }
  static Scales256<V> scales(const Lanes<V>& lanes) {
    const auto bytes = lanes.sixteen(offsetof(Block, scales));
    Scales256<V> out;
    for (int c = 0; c < 4; ++c) {
      out.scales[c] = nibbles<V, false>(bytes.at[c]);
      out.mins[c] = nibbles<V, true>(bytes.at[c]);
    }
    out.d = lanes.sixteen(sizeof(Block) - 16).at[3];
    return out;
  }
};

template <class V>
struct UnpackQ3K {
  using Block = quant::Q3_K;
  using Bits = typename V::Bits;
  static constexpr int kGroup = 16, kBias = 4, kMaxCode = 7;
  static constexpr bool kHasMin = false;

  template <class Use>
  static void codes(const Lanes<V>& lanes, Use&& use) {
    for_each_part([&]<int part, int half>() {
      const auto qs = lanes.sixteen(offsetof(Block, qs) + 32 * half + 16 * part);
      const auto hmask = lanes.sixteen(offsetof(Block, hmask) + 16 * part);  // bit j: values from 32 j on
      for_each_flat<4, 4>([&]<int j, int c>() {
        const Bits low = move_bits<V, 2 * j, 0>(qs.at[c]) & V::splat8(3);
        const Bits high = move_bits<V, 4 * half + j, 2>(hmask.at[c]);
        use.template operator()<32 * half + 8 * j + 4 * part + c>(V::and_or(high, V::splat8(4), low));
      });
    });
  }
  static Scales256<V> scales(const Lanes<V>& lanes) {
    const auto twelve = lanes.sixteen(offsetof(Block, scales) - 4);
    Scales256<V> out;
    unroll_flat<4>([&]<int c>() {
      const Bits low = nibbles<V, c / 2>(twelve.at[1 + c % 2]), high = move_bits<V, 2 * c, 4>(twelve.at[3]);
      out.scales[c] = V::subtract8(V::and_or(high, V::splat8(0x30), low), V::splat8(32));
    });
    out.d = V::template shift_right32<16>(lanes.sixteen(sizeof(Block) - 16).at[3]);
    return out;
  }
};

}  // namespace tessera::kernels::cpu
