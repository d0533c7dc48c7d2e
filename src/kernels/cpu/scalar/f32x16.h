// Sixteen floats in an array: the float vocabulary where no vector unit is assumed, and the reference the others are
// tested against. See avx512/f32x16.h for the words and their contract.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "base/float16.h"

namespace tessera::kernels::cpu::scalar {

struct F32x16 {
  float v[16];

  static constexpr int kLanes = 16;
  using Register = F32x16;
  static constexpr int kAccumulators = 6;

  template <typename Fn>
  static F32x16 each(Fn fn) {
    F32x16 out;
    for (int i = 0; i < 16; ++i) out.v[i] = fn(i);
    return out;
  }
  static F32x16 zero() { return set(0); }
  static F32x16 set(float x) {
    return each([&](int) { return x; });
  }
  static F32x16 load(const float* p) {
    return each([&](int i) { return p[i]; });
  }
  static F32x16 load_f16(const uint16_t* p) {
    return each([&](int i) { return to_f32(F16{p[i]}); });
  }
  static F32x16 load_bf16(const uint16_t* p) {
    return each([&](int i) { return to_f32(BF16{p[i]}); });
  }
  void fetch(const void*) {}
  static F32x16 keep(F32x16 x) { return x; }
  void store(float* p) const {
    for (int i = 0; i < 16; ++i) p[i] = v[i];
  }
  void store_f16(uint16_t* p) const {
    for (int i = 0; i < 16; ++i) p[i] = to_f16(v[i]).bits;
  }
  void store_bf16(uint16_t* p) const {
    for (int i = 0; i < 16; ++i) p[i] = to_bf16(v[i]).bits;
  }

  friend F32x16 operator+(F32x16 a, F32x16 b) {
    return each([&](int i) { return a.v[i] + b.v[i]; });
  }
  friend F32x16 operator-(F32x16 a, F32x16 b) {
    return each([&](int i) { return a.v[i] - b.v[i]; });
  }
  friend F32x16 operator*(F32x16 a, F32x16 b) {
    return each([&](int i) { return a.v[i] * b.v[i]; });
  }
  friend F32x16 operator/(F32x16 a, F32x16 b) {
    return each([&](int i) { return a.v[i] / b.v[i]; });
  }
  static F32x16 fma(F32x16 a, F32x16 b, F32x16 c) {
    return each([&](int i) { return std::fma(a.v[i], b.v[i], c.v[i]); });
  }
  static F32x16 max(F32x16 a, F32x16 b) {
    return each([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
  }
  static F32x16 min(F32x16 a, F32x16 b) {
    return each([&](int i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
  }
  F32x16 abs() const {
    return each([&](int i) { return std::fabs(v[i]); });
  }
  static F32x16 select_less(F32x16 a, F32x16 b, F32x16 yes, F32x16 no) {
    return each([&](int i) { return a.v[i] < b.v[i] ? yes.v[i] : no.v[i]; });
  }
  F32x16 round() const {
    return each([&](int i) { return std::nearbyint(v[i]); });
  }
  static F32x16 exp2_integral(F32x16 n) {
    return each([&](int i) { return std::bit_cast<float>((static_cast<int32_t>(n.v[i]) + 127) << 23); });
  }

  static F32x16 look_up_nibbles(F32x16 table, const uint8_t* p) {
    return each([&](int i) { return table.v[i % 2 == 0 ? p[i / 2] >> 4 : p[i / 2] & 15]; });
  }

  float sum() const {
    float s[16];
    store(s);
    for (int step = 8; step > 0; step /= 2)
      for (int i = 0; i < step; ++i) s[i] += s[i + step];
    return s[0];
  }
  float max_lane() const {
    float m = v[0];
    for (int i = 1; i < 16; ++i) m = v[i] > m ? v[i] : m;
    return m;
  }
  static F32x16 sums(const F32x16 (&rows)[16]) {
    return each([&](int i) { return rows[i].sum(); });
  }
};

}  // namespace tessera::kernels::cpu::scalar
