// What an unpacker hands to a driver about a block of sixteen weight rows; lanes are rows.
#pragma once

namespace tessera::kernels::cpu {

// Formats of 256 values.
template <class V>
struct Scales256 {
  typename V::Bits scales[4];  // int8 of groups 4 c .. 4 c + 3 in each lane of vector c
  typename V::Bits mins[4];    // the same, if F::kHasMin
  typename V::Bits d;          // low word d, high word dmin, both f16
};

// Codes above 127: two products of them do not fit a word.
template <class F>
inline constexpr bool kWide = F::kMaxCode > 127;

template <class F>
constexpr float unit_of_d() {
  if constexpr (requires { F::kUnit; }) return F::kUnit;
  return 1;
}

// Wide codes, whose bias is 128, as V::dot takes them: unsigned, or less their bias. From either form.
template <class V>
inline typename V::Bits wide_from_unsigned(typename V::Bits codes) {
  if constexpr (V::kSignedWide) return V::flip_sign(codes);
  return codes;
}
template <class V>
inline typename V::Bits wide_from_signed(typename V::Bits codes) {
  if constexpr (V::kSignedWide) return codes;
  return V::flip_sign(codes);
}

// What is left of a format's bias after V::dot.
template <class V, class F>
inline constexpr int kBiasLeft = (kWide<F> and V::kSignedWide) ? 0 : F::kBias;

}  // namespace tessera::kernels::cpu
