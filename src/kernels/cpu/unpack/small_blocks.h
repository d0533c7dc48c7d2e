// The formats of 32 values over an integer vocabulary V. Layouts: quant/<format>.h.
//
// The contract of an unpacker F, shared by all drivers; lanes hold eight consecutive blocks of each row:
//   codes(lanes, use)        as in unpack/k_quants.h; eight k4 are a block
//   numbers(lanes, j, d, m)  d of block j, and m if kHasMin
//   kBias, kMaxCode          as in unpack/k_quants.h
#pragma once

#include "kernels/cpu/unpack/lanes.h"
#include "kernels/cpu/unpack/levels.h"
#include "kernels/cpu/unpack/scales.h"
#include "kernels/cpu/unroll.h"
#include "quant/iq4_nl.h"
#include "quant/mxfp4.h"
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

// The same with bit 4 of value i at bit i of the word qh.
template <class V, class Block, class Use>
inline void five_bits_of_blocks(const Lanes<V>& lanes, Use&& use) {
  using Bits = typename V::Bits;
  const Bits sixteen = V::quarters(0x00101000, 0x10, 0x10, 0);  // at 1, 2, 4 and 8
  unroll_flat<8>([&]<int j>() {
    const auto x = lanes.sixteen(static_cast<int64_t>(j * sizeof(Block) + offsetof(Block, qs)));
    const Bits qh = lanes.dword(static_cast<int64_t>(j * sizeof(Block) + offsetof(Block, qh)));
    unroll_flat<4>([&]<int byte>() {
      const Bits eight = order_bytes<V, 0x01010101 * byte>(qh);
      unroll_flat<2>([&]<int high>() {
        constexpr int c = 2 * byte + high;
        const Bits own = move_bits<V, 4 * high, 0>(eight) & V::splat32(0x08040201);
        use.template operator()<8 * j + c>(nibbles<V, c / 4>(x.at[c % 4]) | V::lookup(sixteen, own));
      });
    });
  });
}

// What these formats have in common.
template <class V, class Block_, int bias, int max_code, bool has_min>
struct SmallBlocks {
  using Block = Block_;
  using Bits = typename V::Bits;
  using Floats = typename V::Floats;
  static constexpr int kBias = bias, kMaxCode = max_code;
  static constexpr bool kHasMin = has_min;

  static void numbers(const Lanes<V>& lanes, int j, Floats& d, Floats& m) {
    const Bits words = first_dword(lanes, j);
    d = V::f16_low(words);
    if constexpr (has_min) m = V::f16_high(words);
  }

 protected:
  static Bits first_dword(const Lanes<V>& lanes, int j) {
    static_assert(sizeof(Block) >= 16);  // what lanes.dword reads
    return lanes.dword(j * static_cast<int64_t>(sizeof(Block)));
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
  static void numbers(const Lanes<V>& lanes, int j, Floats& d, Floats&) {
    const Bits e = UnpackMXFP4::first_dword(lanes, j) & V::splat32(255), half = V::template shift_right32<1>(e);
    d = power_of_two(half) * power_of_two(V::subtract(e, half));
  }

 private:
  static Floats power_of_two(Bits n) {  // 2^(n - 64)
    return V::as_floats(V::template shift_left32<23>(V::add(n, V::splat32(127 - 64))));
  }
};

}  // namespace tessera::kernels::cpu
