// What the unpackers of IQ1, IQ2 and IQ3 have in common: looking entries up, signs, and scales of few bits.
#pragma once

#include "kernels/cpu/codebooks.h"
#include "kernels/cpu/unpack/lanes.h"
#include "kernels/cpu/unpack/scales.h"
#include "kernels/cpu/unroll.h"

namespace tessera::kernels::cpu {

// Byte t of each dword as a dword.
template <class V, int t>
inline typename V::Bits byte_of(typename V::Bits x) {
  const auto byte = move_bits<V, 8 * t, 0>(x);
  if constexpr (t == 3) return byte;
  return byte & V::splat32(255);
}
// The entry at byte t of `low`, with further bits of its index from bit `from` of `high` on, where `mask` has them.
template <class V, int t>
inline typename V::Bits look_up(const uint32_t* codebook, typename V::Bits low) {
  return V::gather(codebook, byte_of<V, t>(low));
}
template <class V, int t, int from, uint32_t mask>
inline typename V::Bits look_up(const uint32_t* codebook, typename V::Bits low, typename V::Bits high) {
  return V::gather(codebook, V::and_or(move_bits<V, from, 8>(high), V::splat32(mask), byte_of<V, t>(low)));
}

// Bytes of seven bits and, above them, what makes the number of ones even: the signs of eight values each.
template <class V>
inline typename V::Bits signs_of_fields(typename V::Bits fields) {
  const auto odd = V::quarters(0x00808000, 0x80000080, 0x80000080, 0x00808000);  // 0x80 where a nibble's number is odd
  const auto low = V::lookup(odd, nibbles<V, false>(fields)), high = V::lookup(odd, nibbles<V, true>(fields));
  return fields | V::subtract8(low, high);
}
// Of four fields that follow each other from bit 0 of each dword on: field t in byte t.
template <class V>
inline typename V::Bits signs_of_28_bits(typename V::Bits x) {
  auto fields = x & V::splat32(0x7f);
  fields = V::and_or(V::template shift_left32<1>(x), V::splat32(0x7f00), fields);
  fields = V::and_or(V::template shift_left32<2>(x), V::splat32(0x7f0000), fields);
  fields = V::and_or(V::template shift_left32<3>(x), V::splat32(0x7f000000), fields);
  return signs_of_fields<V>(fields);
}

// Codes of four magnitudes, with their bias, negated by the signs in each byte: the lower four bits or the upper ones.
template <class V, int bias, bool upper>
inline typename V::Bits with_signs(typename V::Bits codes, typename V::Bits signs) {
  return V::mirror(codes, V::splat8(2 * bias), signs, V::splat32(upper ? 0x80402010 : 0x08040201));
}

// 2 s + 1 for bytes s below 64.
template <class V>
inline typename V::Bits odd_scales(typename V::Bits s) {
  return V::template shift_left<1>(s) | V::splat8(1);
}
// The top four bits of four dwords.
template <class V, typename Bits = typename V::Bits>
inline Bits top_nibbles(Bits a, Bits b, Bits c, Bits d) {
  Bits x = V::template shift_right32<28>(a);
  x = V::and_or(V::template shift_right32<20>(b), V::splat32(0x0f00), x);
  x = V::and_or(V::template shift_right32<12>(c), V::splat32(0x0f0000), x);
  return V::and_or(V::template shift_right32<4>(d), V::splat32(0x0f000000), x);
}

}  // namespace tessera::kernels::cpu
