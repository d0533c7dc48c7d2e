// The formats of fewer than 256 values over an integer vocabulary V. Layouts: quant/<format>.h.
//
// The contract of an unpacker F, shared by all drivers; lanes hold 256 values of each row:
//   codes(lanes, use)         as in unpack/k_quants.h
//   head(lanes, i)            what numbers() takes of block i
//   numbers<j>(head, d, m)    d of group j of the block, and m if kHasMin
//   kGroup, kBias, kMaxCode   as in unpack/k_quants.h
#pragma once

#include "kernels/cpu/unpack/lanes.h"
#include "kernels/cpu/unpack/levels.h"
#include "kernels/cpu/unpack/scales.h"
#include "kernels/cpu/unroll.h"
#include "quant/iq4_nl.h"
#include "quant/mxfp4.h"
#include "quant/nvfp4.h"
#include "quant/q1_0.h"
#include "quant/q2_0.h"
#include "quant/q4_0.h"
#include "quant/q4_1.h"
#include "quant/q5_0.h"
#include "quant/q5_1.h"
#include "quant/q8_0.h"

namespace tessera::kernels::cpu {

// use<k4>(codes) for 4-bit codes: values 0..15 of a block in the low nibbles of qs, 16..31 in the high ones.
template <class V, class Block, class Use>
inline void nibbles_of_blocks(const Lanes<V>& lanes, Use&& use) {
  unroll_flat<8>([&]<int j>() {
    const auto x = lanes.sixteen(static_cast<int64_t>(j * sizeof(Block) + offsetof(Block, qs)));
    unroll_flat<8>([&]<int c>() { use.template operator()<8 * j + c>(nibbles<V, c / 4>(x.at[c % 4])); });
  });
}

// Bits 4 c .. 4 c + 3 of each dword: `one` in the bytes of those that are set, 0 in the others.
template <class V, int c, uint8_t one>
inline typename V::Bits bytes_of_bits(typename V::Bits x) {
  const auto at_own_place = move_bits<V, 4 * (c % 2), 0>(splat_byte<V, c / 2>(x)) & V::splat32(0x08040201);
  return V::lookup(V::quarters(one << 16 | one << 8, one, one, 0), at_own_place);  // at 1, 2, 4 and 8
}

// The same with bit 4 of value i at bit i of the word qh.
template <class V, class Block, class Use>
inline void five_bits_of_blocks(const Lanes<V>& lanes, Use&& use) {
  unroll_flat<8>([&]<int j>() {
    const auto x = lanes.sixteen(static_cast<int64_t>(j * sizeof(Block) + offsetof(Block, qs)));
    const auto qh = lanes.dword(static_cast<int64_t>(j * sizeof(Block) + offsetof(Block, qh)));
    unroll_flat<8>([&]<int c>() {
      use.template operator()<8 * j + c>(nibbles<V, c / 4>(x.at[c % 4]) | bytes_of_bits<V, c, 16>(qh));
    });
  });
}

// What these formats have in common.
template <class V, class Block_, int bias, int max_code, bool has_min>
struct SmallBlocks {
  using Block = Block_;
  using Bits = typename V::Bits;
  using Floats = typename V::Floats;
  static constexpr int kGroup = 32, kBias = bias, kMaxCode = max_code;
  static constexpr bool kHasMin = has_min;

  static Bits head(const Lanes<V>& lanes, int i) {
    static_assert(sizeof(Block) >= 16);  // what lanes.dword reads
    return lanes.dword(i * static_cast<int64_t>(sizeof(Block)));
  }
  template <int j>
  static void numbers(Bits head, Floats& d, Floats& m) {
    d = V::f16_low(head);
    if constexpr (has_min) m = V::f16_high(head);
  }
};

template <class V>
struct UnpackQ4_0 : SmallBlocks<V, quant::Q4_0, 8, 15, false> {
  template <class Use>
  static void codes(const Lanes<V>& lanes, Use&& use) {
    nibbles_of_blocks<V, quant::Q4_0>(lanes, use);
  }
};

template <class V>
struct UnpackQ4_1 : SmallBlocks<V, quant::Q4_1, 0, 15, true> {
  template <class Use>
  static void codes(const Lanes<V>& lanes, Use&& use) {
    nibbles_of_blocks<V, quant::Q4_1>(lanes, use);
  }
};

template <class V>
struct UnpackQ5_0 : SmallBlocks<V, quant::Q5_0, 16, 31, false> {
  template <class Use>
  static void codes(const Lanes<V>& lanes, Use&& use) {
    five_bits_of_blocks<V, quant::Q5_0>(lanes, use);
  }
};

template <class V>
struct UnpackQ5_1 : SmallBlocks<V, quant::Q5_1, 0, 31, true> {
  template <class Use>
  static void codes(const Lanes<V>& lanes, Use&& use) {
    five_bits_of_blocks<V, quant::Q5_1>(lanes, use);
  }
};

template <class V>
struct UnpackQ8_0 : SmallBlocks<V, quant::Q8_0, 128, 255, false> {
  template <class Use>
  static void codes(const Lanes<V>& lanes, Use&& use) {
    unroll_flat<16>([&]<int i>() {
      constexpr int64_t kAt = i / 2 * sizeof(quant::Q8_0) + offsetof(quant::Q8_0, qs) + i % 2 * 16;
      const auto x = lanes.sixteen(kAt);
      unroll_flat<4>([&]<int c>() { use.template operator()<4 * i + c>(wide_from_signed<V>(x.at[c])); });
    });
  }
};

template <class V>
struct UnpackIQ4NL : SmallBlocks<V, quant::IQ4_NL, kIQ4Bias, 255, false> {
  template <class Use>
  static void codes(const Lanes<V>& lanes, Use&& use) {
    const auto levels = wide_from_unsigned<V>(V::load_splat16(kIQ4Codes.code));
    nibbles_of_blocks<V, quant::IQ4_NL>(
        lanes, [&]<int k4>(typename V::Bits x) { use.template operator()<k4>(V::lookup(levels, x)); });
  }
};

template <class V>
struct UnpackMXFP4 : SmallBlocks<V, quant::MXFP4, kE2M1Bias, kE2M1Bias + 12, false> {
  using Bits = typename V::Bits;
  using Floats = typename V::Floats;

  template <class Use>
  static void codes(const Lanes<V>& lanes, Use&& use) {
    const Bits levels = V::load_splat16(kE2M1Codes.code);
    nibbles_of_blocks<V, quant::MXFP4>(lanes,
                                       [&]<int k4>(Bits x) { use.template operator()<k4>(V::lookup(levels, x)); });
  }
  // d = 2^(e - 128), which may be subnormal: a product of two that are not.
  template <int j>
  static void numbers(Bits head, Floats& d, Floats&) {
    const Bits e = head & V::splat32(255), half = V::template shift_right32<1>(e);
    d = power_of_two(half) * power_of_two(V::subtract(e, half));
  }

 private:
  static Floats power_of_two(Bits n) {  // 2^(n - 64)
    return V::as_floats(V::template shift_left32<23>(V::add(n, V::splat32(127 - 64))));
  }
};

template <class V>
struct UnpackNVFP4 : SmallBlocks<V, quant::NVFP4, kE2M1Bias, kE2M1Bias + 12, false> {
  using Bits = typename V::Bits;
  using Floats = typename V::Floats;
  static constexpr int kGroup = quant::NVFP4::kSubBlock;

  template <class Use>
  static void codes(const Lanes<V>& lanes, Use&& use) {
    const Bits levels = V::load_splat16(kE2M1Codes.code);
    for_each_flat<4, 2>([&]<int block, int half>() {
      const auto x = lanes.sixteen(block * sizeof(quant::NVFP4) + offsetof(quant::NVFP4, qs) + 16 * half);
      for_each_flat<2, 4>([&]<int group, int c>() {
        use.template operator()<16 * block + 8 * half + 4 * group + c>(
            V::lookup(levels, nibbles<V, c / 2>(x.at[2 * group + c % 2])));
      });
    });
  }
  // The seven bits of the four scales, 0 in place of 0x7f without the eighth.
  static Bits head(const Lanes<V>& lanes, int i) {
    const Bits bytes = SmallBlocks<V, quant::NVFP4, kE2M1Bias, kE2M1Bias + 12, false>::head(lanes, i);
    const Bits e4m3 = bytes & V::splat8(0x7f);
    const Bits none = V::add(e4m3, V::splat8(1)) & V::flip_sign(bytes) & V::splat8(0x80);
    return V::subtract(e4m3, V::subtract(none, V::template shift_right32<7>(none)));
  }
  // Half of a scale: seven bits of an f16, whose bias is greater by 8.
  template <int j>
  static void numbers(Bits head, Floats& d, Floats&) {
    const Bits f16 = move_bits<V, 8 * j, 7>(head) & V::splat32(0x7f << 7);
    d = V::f16_low(f16) * Floats::set(0x1p7f);
  }
};

template <class V>
struct UnpackQ1_0 : SmallBlocks<V, quant::Q1_0, 1, 2, false> {
  template <class Use>
  static void codes(const Lanes<V>& lanes, Use&& use) {
    unroll_flat<2>([&]<int block>() {
      const auto x = lanes.sixteen(block * sizeof(quant::Q1_0) + offsetof(quant::Q1_0, qs));
      for_each_flat<4, 8>(
          [&]<int i, int c>() { use.template operator()<32 * block + 8 * i + c>(bytes_of_bits<V, c, 2>(x.at[i])); });
    });
  }
};

template <class V>
struct UnpackQ2_0 : SmallBlocks<V, quant::Q2_0, 1, 3, false> {
  template <class Use>
  static void codes(const Lanes<V>& lanes, Use&& use) {
    unroll_flat<4>([&]<int block>() {
      const auto x = lanes.sixteen(block * sizeof(quant::Q2_0) + offsetof(quant::Q2_0, qs));
      for_each_flat<4, 4>([&]<int i, int c>() {
        use.template operator()<16 * block + 4 * i + c>(spread_codes<V, 2>(move_bits<V, 8 * c, 0>(x.at[i])));
      });
    });
  }
};

}  // namespace tessera::kernels::cpu
