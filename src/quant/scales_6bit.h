// Eight 6-bit scales and eight 6-bit mins in twelve bytes: how Q4_K and Q5_K pack the parameters of their sub-blocks.
//
//            bits 7..6             bits 5..0
//   byte 0-3   top 2 of scale 4-7    scale 0-3
//   byte 4-7   top 2 of min 4-7      min 0-3
//              bits 7..4             bits 3..0
//   byte 8-11  low 4 of min 4-7      low 4 of scale 4-7
//
// Read as three little-endian words, each expression below yields four parameters at once. The functions are templates
// that are always inlined, so that a source compiled for one instruction set leaves no symbol another could pick up.
#pragma once

#include <cstdint>
#include <cstring>

namespace tessera::quant {

// scales[j], mins[j] in 0..63 for sub-block j = 0..7.
template <typename Byte>
[[gnu::always_inline]] inline void unpack_scales_6bit(const Byte* packed, Byte* scales, Byte* mins) {
  static_assert(sizeof(Byte) == 1);
  uint32_t in[3], out[4];
  std::memcpy(in, packed, 12);
  out[0] = in[0] & 0x3f3f3f3fu;
  out[1] = (in[2] & 0x0f0f0f0fu) | ((in[0] >> 2) & 0x30303030u);
  out[2] = in[1] & 0x3f3f3f3fu;
  out[3] = ((in[2] >> 4) & 0x0f0f0f0fu) | ((in[1] >> 2) & 0x30303030u);
  std::memcpy(scales, out, 8);
  std::memcpy(mins, out + 2, 8);
}

// The inverse; every value must be in 0..63.
template <typename Byte>
[[gnu::always_inline]] inline void pack_scales_6bit(const Byte* scales, const Byte* mins, Byte* packed) {
  static_assert(sizeof(Byte) == 1);
  uint32_t sc[2], mn[2], out[3];
  std::memcpy(sc, scales, 8);
  std::memcpy(mn, mins, 8);
  out[0] = sc[0] | ((sc[1] & 0x30303030u) << 2);
  out[1] = mn[0] | ((mn[1] & 0x30303030u) << 2);
  out[2] = (sc[1] & 0x0f0f0f0fu) | ((mn[1] & 0x0f0f0f0fu) << 4);
  std::memcpy(packed, out, 12);
}

}  // namespace tessera::quant
