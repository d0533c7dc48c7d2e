// What an unpacker hands to a driver about four weight rows, one row per quarter of each Bits.
#pragma once

namespace tessera::kernels::cpu {

// Formats of 256 values.
template <class V>
struct Scales256 {
  typename V::Bits scales;  // bytes: one per group of F::kGroup values, signed if F::kSigned
  typename V::Bits mins;    // bytes, unsigned, if F::kHasMin
  typename V::Bits d;       // dword 0: low word d, high word dmin
};

// Formats of 32 values, eight blocks of each row: words, f16.
template <class V>
struct Scales32 {
  typename V::Bits d;
  typename V::Bits m;  // if F::kHasMin: the offset added to every value
};

// Codes above 63: two products of them do not fit a word.
template <class F>
inline constexpr bool kWide = F::kMaxCode > 63;

// What is left of a format's bias after V::dot: a vocabulary without unsigned-by-signed dwords takes wide codes, whose
// bias is 128, as signed bytes.
template <class V, class F>
inline constexpr int kBiasLeft = (kWide<F> and V::kSignedWide) ? 0 : F::kBias;

}  // namespace tessera::kernels::cpu
