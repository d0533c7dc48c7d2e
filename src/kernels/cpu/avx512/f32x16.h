// Sixteen floats in one AVX-512 register: the float vocabulary of float_kernels_impl.h and attention_impl.h. The same
// words exist in avx2/ (two registers) and scalar/ (an array) with the same result bit for bit: explicit fma, one
// reduction tree (lane l with l + 8, then + 4, + 2, + 1), round to nearest even.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace tessera::kernels::cpu::avx512 {

struct F32x16 {
  __m512 v;

  static constexpr int kLanes = 16;
  // What fits a register of the instruction set: sixteen lanes, or a part of them, which needs fewer words.
  using Register = F32x16;
  // Registers of sums that leave room for their operands.
  static constexpr int kAccumulators = 24;

  static F32x16 zero() { return {_mm512_setzero_ps()}; }
  static F32x16 set(float x) { return {_mm512_set1_ps(x)}; }
  static F32x16 load(const float* p) { return {_mm512_loadu_ps(p)}; }
  static F32x16 load_f16(const uint16_t* p) {
    return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
  }
  static F32x16 load_bf16(const uint16_t* p) {
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
    return {_mm512_castsi512_ps(_mm512_slli_epi32(wide, 16))};
  }
  // Asks for the line at p after what made this value and before what uses it (vocabulary.h says why).
  void fetch(const void* p) { asm volatile("prefetcht0 %1" : "+v"(v) : "m"(*static_cast<const char*>(p))); }
  // `x`, computed or loaded where this is written (vocabulary.h).
  static F32x16 keep(F32x16 x) {
    asm volatile("" : "+v"(x.v));
    return x;
  }
  void store(float* p) const { _mm512_storeu_ps(p, v); }
  void store_f16(uint16_t* p) const {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
  }
  void store_bf16(uint16_t* p) const {
    const __m512i bits = _mm512_castps_si512(v);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    const __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    rounded = _mm512_mask_or_epi32(rounded, nan, bits, _mm512_set1_epi32(0x400000));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded, 16)));
  }

  friend F32x16 operator+(F32x16 a, F32x16 b) { return {_mm512_add_ps(a.v, b.v)}; }
  friend F32x16 operator-(F32x16 a, F32x16 b) { return {_mm512_sub_ps(a.v, b.v)}; }
  friend F32x16 operator*(F32x16 a, F32x16 b) { return {_mm512_mul_ps(a.v, b.v)}; }
  friend F32x16 operator/(F32x16 a, F32x16 b) { return {_mm512_div_ps(a.v, b.v)}; }
  // a * b + c, rounded once.
  static F32x16 fma(F32x16 a, F32x16 b, F32x16 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
  // a > b ? a : b and a < b ? a : b, lane by lane (b where one is NaN).
  static F32x16 max(F32x16 a, F32x16 b) { return {_mm512_max_ps(a.v, b.v)}; }
  static F32x16 min(F32x16 a, F32x16 b) { return {_mm512_min_ps(a.v, b.v)}; }
  F32x16 abs() const { return {_mm512_abs_ps(v)}; }
  // a < b ? yes : no, lane by lane.
  static F32x16 select_less(F32x16 a, F32x16 b, F32x16 yes, F32x16 no) {
    return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ), no.v, yes.v)};
  }
  F32x16 round() const { return {_mm512_roundscale_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
  // 2^n for integral lanes n in [-126, 127].
  static F32x16 exp2_integral(F32x16 n) {
    const __m512i biased = _mm512_add_epi32(_mm512_cvtps_epi32(n.v), _mm512_set1_epi32(127));
    return {_mm512_castsi512_ps(_mm512_slli_epi32(biased, 23))};
  }

  // Lane i is the lane of `table` that nibble i of 8 bytes names, a byte's high nibble before its low one.
  static F32x16 look_up_nibbles(F32x16 table, const uint8_t* p) {
    const __m512i bytes = _mm512_cvtepu8_epi64(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
    const __m512i low = _mm512_slli_epi64(_mm512_and_si512(bytes, _mm512_set1_epi64(15)), 32);
    return {_mm512_permutexvar_ps(_mm512_or_si512(_mm512_srli_epi64(bytes, 4), low), table.v)};
  }

  float sum() const {
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
  }
  float max_lane() const { return _mm512_reduce_max_ps(v); }

  // Lane i of the result is rows[i].sum(), by the same tree: each step halves the rows and pairs the same lanes.
  static F32x16 sums(const F32x16 (&rows)[16]) {
    __m512 a[8], b[4], c[2];
    for (int i = 0; i < 8; ++i) {  // rows i and i + 8: lane l + lane l+8
      const __m512 x = rows[i].v, y = rows[i + 8].v;
      a[i] = _mm512_add_ps(_mm512_shuffle_f32x4(x, y, 0x44), _mm512_shuffle_f32x4(x, y, 0xee));
    }
    for (int i = 0; i < 4; ++i)  // + 4
      b[i] = _mm512_add_ps(_mm512_shuffle_f32x4(a[i], a[i + 4], 0x88), _mm512_shuffle_f32x4(a[i], a[i + 4], 0xdd));
    for (int i = 0; i < 2; ++i)  // + 2: 128-bit quarters now belong to rows i, i+8, i+4, i+12
      c[i] = _mm512_add_ps(_mm512_shuffle_ps(b[i], b[i + 2], 0x44), _mm512_shuffle_ps(b[i], b[i + 2], 0xee));
    const __m512 d = _mm512_add_ps(_mm512_shuffle_ps(c[0], c[1], 0x88), _mm512_shuffle_ps(c[0], c[1], 0xdd));
    // Quarter q holds rows {0,2,1,3} + {0, 8, 4, 12}[q].
    const __m512i order = _mm512_setr_epi32(0, 2, 1, 3, 8, 10, 9, 11, 4, 6, 5, 7, 12, 14, 13, 15);
    return {_mm512_permutexvar_ps(order, d)};
  }
};

}  // namespace tessera::kernels::cpu::avx512
