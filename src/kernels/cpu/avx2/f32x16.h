// Sixteen floats in two AVX2 registers; see avx512/f32x16.h for the words and their contract.
#pragma once

#include "kernels/cpu/avx2/f32x8.h"

namespace tessera::kernels::cpu::avx2 {

struct F32x16 {
  F32x8 lo, hi;

  static constexpr int kLanes = 16;
  using Register = F32x8;
  static constexpr int kAccumulators = 12;

  static F32x16 zero() { return {F32x8::zero(), F32x8::zero()}; }
  static F32x16 set(float x) { return {F32x8::set(x), F32x8::set(x)}; }
  static F32x16 load(const float* p) { return {F32x8::load(p), F32x8::load(p + 8)}; }
  static F32x16 load_f16(const uint16_t* p) { return {F32x8::load_f16(p), F32x8::load_f16(p + 8)}; }
  static F32x16 load_bf16(const uint16_t* p) { return {F32x8::load_bf16(p), F32x8::load_bf16(p + 8)}; }
  void fetch(const void* p) { lo.fetch(p); }
  static F32x16 keep(F32x16 x) { return {F32x8::keep(x.lo), F32x8::keep(x.hi)}; }
  void store(float* p) const {
    lo.store(p);
    hi.store(p + 8);
  }
  void store_f16(uint16_t* p) const {
    lo.store_f16(p);
    hi.store_f16(p + 8);
  }
  void store_bf16(uint16_t* p) const {
    lo.store_bf16(p);
    hi.store_bf16(p + 8);
  }

  friend F32x16 operator+(F32x16 a, F32x16 b) { return {a.lo + b.lo, a.hi + b.hi}; }
  friend F32x16 operator-(F32x16 a, F32x16 b) { return {a.lo - b.lo, a.hi - b.hi}; }
  friend F32x16 operator*(F32x16 a, F32x16 b) { return {a.lo * b.lo, a.hi * b.hi}; }
  friend F32x16 operator/(F32x16 a, F32x16 b) { return {a.lo / b.lo, a.hi / b.hi}; }
  static F32x16 fma(F32x16 a, F32x16 b, F32x16 c) {
    return {F32x8::fma(a.lo, b.lo, c.lo), F32x8::fma(a.hi, b.hi, c.hi)};
  }
  static F32x16 max(F32x16 a, F32x16 b) { return {F32x8::max(a.lo, b.lo), F32x8::max(a.hi, b.hi)}; }
  static F32x16 min(F32x16 a, F32x16 b) { return {F32x8::min(a.lo, b.lo), F32x8::min(a.hi, b.hi)}; }
  F32x16 abs() const { return {lo.abs(), hi.abs()}; }
  static F32x16 select_less(F32x16 a, F32x16 b, F32x16 yes, F32x16 no) {
    return {F32x8::select_less(a.lo, b.lo, yes.lo, no.lo), F32x8::select_less(a.hi, b.hi, yes.hi, no.hi)};
  }
  F32x16 round() const { return {lo.round(), hi.round()}; }
  static F32x16 exp2_integral(F32x16 n) { return {F32x8::exp2_integral(n.lo), F32x8::exp2_integral(n.hi)}; }

  static F32x16 look_up_nibbles(F32x16 table, const uint8_t* p) {
    return {look_up_8(table, p), look_up_8(table, p + 4)};
  }

  float sum() const { return (lo + hi).sum(); }
  float max_lane() const { return F32x8::max(lo, hi).max_lane(); }
  static F32x16 sums(const F32x16 (&rows)[16]) { return {sums_of_8(rows), sums_of_8(rows + 8)}; }

 private:
  static F32x8 look_up_8(const F32x16& table, const uint8_t* p) {
    const __m256i bytes = _mm256_cvtepu8_epi64(_mm_loadu_si32(p));
    const __m256i low = _mm256_slli_epi64(_mm256_and_si256(bytes, _mm256_set1_epi64x(15)), 32);
    const __m256i index = _mm256_or_si256(_mm256_srli_epi64(bytes, 4), low);
    const __m256 is_upper = _mm256_castsi256_ps(_mm256_slli_epi32(index, 28));  // bit 3 as the sign
    return {_mm256_blendv_ps(_mm256_permutevar8x32_ps(table.lo.v, index), _mm256_permutevar8x32_ps(table.hi.v, index),
                             is_upper)};
  }
  static F32x8 sums_of_8(const F32x16* rows) {
    __m256 a[4], b[2];
    for (int i = 0; i < 4; ++i) {  // + 8 within a row, then + 4 while rows i and i + 4 are joined
      const __m256 x = (rows[i].lo + rows[i].hi).v, y = (rows[i + 4].lo + rows[i + 4].hi).v;
      a[i] = _mm256_add_ps(_mm256_permute2f128_ps(x, y, 0x20), _mm256_permute2f128_ps(x, y, 0x31));
    }
    for (int i = 0; i < 2; ++i)  // + 2
      b[i] = _mm256_add_ps(_mm256_shuffle_ps(a[i], a[i + 2], 0x44), _mm256_shuffle_ps(a[i], a[i + 2], 0xee));
    const __m256 c = _mm256_add_ps(_mm256_shuffle_ps(b[0], b[1], 0x88), _mm256_shuffle_ps(b[0], b[1], 0xdd));  // + 1
    return {_mm256_permutevar8x32_ps(c, _mm256_setr_epi32(0, 2, 1, 3, 4, 6, 5, 7))};
  }
};

}  // namespace tessera::kernels::cpu::avx2
