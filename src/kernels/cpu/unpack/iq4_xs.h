// IQ4_XS over an integer vocabulary V; contract in unpack/k_quants.h, layout in quant/iq4_xs.h.
#pragma once

#include "kernels/cpu/unpack/levels.h"
#include "kernels/cpu/unpack/scales.h"
#include "quant/iq4_xs.h"

namespace tessera::kernels::cpu {

template <class V>
struct UnpackIQ4XS {
  using Block = quant::IQ4_XS;
  using Bits = typename V::Bits;
  static constexpr int kGroup = 32, kBias = 128, kMaxCode = 255;
  static constexpr bool kHasMin = false, kSigned = true;

  template <int i>
  [[gnu::always_inline]] static Bits codes(const Block* b) {
    return V::lookup(V::load_splat16(kIQ4Codes),
                     V::nibbles_by_quarter(V::load_twice(b->qs + 16 * i, b->qs + 64 + 16 * i)));
  }
  [[gnu::always_inline]] static Scales256<V> scales(const Block* a, const Block* b, const Block* c, const Block* d) {
    // Bytes 0-1 d, 2-3 the high bits (scale j in bits 2j+1..2j), 4-7 the nibbles (low first).
    const auto header = V::load_quarters(a, b, c, d);
    // Low: byte j = nibble j, from byte 4 + j/2; even scales keep the low nibble, odd ones shift.
    const auto nibbles = V::shuffle_bytes(header, V::quarters(0x05050404, 0x07070606, 0x80808080, 0x80808080));
    const auto even = nibbles & V::quarters(0x000f000f, 0x000f000f, 0, 0);
    const auto low = V::and_or(V::template shift_right<4>(nibbles), V::quarters(0x0f000f00, 0x0f000f00, 0, 0), even);
    // High: byte j = byte 2 + j/4 >> 2 (j % 4), bits 1..0, moved to 5..4; one dword per position within the byte.
    const auto pairs = V::shuffle_bytes(header, V::quarters(0x80038002, 0x80038002, 0x80038002, 0x80038002));
    const auto moved = V::shift_right_each(pairs, V::quarters(0, 2, 4, 6)) & V::splat8(3);  // dword p: scales p, p + 4
    // Byte j comes from dword j % 4, byte 2 (j / 4).
    const auto high = V::shuffle_bytes(moved, V::quarters(0x0c080400, 0x0e0a0602, 0x80808080, 0x80808080));
    const auto sum = V::template shift_left<4>(high) | low;
    return {.scales = V::subtract8(sum, V::splat8(32)), .mins = V::zero(), .d = header};
  }
};

}  // namespace tessera::kernels::cpu
