// exp, tanh and the tanh form of GELU over any float vocabulary (scalar/f32x16.h and its siblings). One polynomial with
// explicit fma everywhere, so that all instruction sets agree bit for bit; within 2e-7 relative of the exact functions.
#pragma once

namespace tessera::kernels::cpu {

// e^x. 0 below -87.33 (where the result would be subnormal), saturates at e^88.
template <typename V>
inline V exp(V x) {
  const V lowest = V::set(-87.33f);
  const V clamped = V::min(V::max(x, lowest), V::set(88.0f));
  const V n = (clamped * V::set(1.44269504f)).round();
  // x - n ln 2 in two parts, the first exact in f32 for |n| < 2^9.
  const V r = V::fma(n, V::set(2.12194440e-4f), V::fma(n, V::set(-0.693359375f), clamped));
  // Minimax polynomial of (e^r - 1 - r) / r^2 on [-ln2/2, ln2/2] (Cephes expf, Moshier).
  V p = V::set(1.9875691500e-4f);
  p = V::fma(p, r, V::set(1.3981999507e-3f));
  p = V::fma(p, r, V::set(8.3334519073e-3f));
  p = V::fma(p, r, V::set(4.1665795894e-2f));
  p = V::fma(p, r, V::set(1.6666665459e-1f));
  p = V::fma(p, r, V::set(5.0000001201e-1f));
  const V mantissa = V::fma(p, r * r, r) + V::set(1.0f);
  return V::select_less(x, lowest, V::zero(), mantissa * V::exp2_integral(n));
}

// tanh x: a polynomial near zero, where 1 - 2 / (e^2x + 1) would cancel; saturates to +-1.
template <typename V>
inline V tanh(V x) {
  const V magnitude = x.abs();
  const V square = x * x;
  V p = V::set(-5.70498872745e-3f);  // tanh(x) / x - 1 over x^2 on |x| < 0.625 (Cephes tanhf)
  p = V::fma(p, square, V::set(2.06390887954e-2f));
  p = V::fma(p, square, V::set(-5.37397155531e-2f));
  p = V::fma(p, square, V::set(1.33314422036e-1f));
  p = V::fma(p, square, V::set(-3.33332819422e-1f));
  const V small = V::fma(p * square, x, x);
  const V large = V::set(1.0f) - V::set(2.0f) / (exp(magnitude + magnitude) + V::set(1.0f));
  const V signed_large = V::select_less(x, V::zero(), V::zero() - large, large);
  return V::select_less(magnitude, V::set(0.625f), small, signed_large);
}

// 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), written as x / (1 + e^-2u): no cancellation for negative x.
template <typename V>
inline V gelu_tanh(V x) {
  const V u = V::set(0.7978845608f) * V::fma(V::set(0.044715f) * x, x * x, x);
  return x / (V::set(1.0f) + exp(V::set(-2.0f) * u));
}

}  // namespace tessera::kernels::cpu
