// The integer words of the linear kernels on AVX2: avx512/vocabulary.h with its contract, two registers for one.
// Quarters 0 and 1 are the lanes of `lo`, 2 and 3 those of `hi`.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/cpu/avx2/f32x16.h"
#include "kernels/cpu/products.h"

namespace tessera::kernels::cpu::avx2 {

struct Bits {
  __m256i lo, hi;
  friend Bits operator&(Bits a, Bits b) { return {_mm256_and_si256(a.lo, b.lo), _mm256_and_si256(a.hi, b.hi)}; }
  friend Bits operator|(Bits a, Bits b) { return {_mm256_or_si256(a.lo, b.lo), _mm256_or_si256(a.hi, b.hi)}; }
};

struct Vocabulary {
  using Bits = avx2::Bits;
  using Floats = F32x16;
  // Two tokens, one vector of rows: 4 registers of dots, 4 of scaled sums, the rest for codes and products.
  static constexpr int kTokens = 2;
  static constexpr int kRowVectors = 1;
  static constexpr int kFewTokens = 2, kLeastPanelTokens = 5;
  static constexpr bool kFetchesNear = false;
  static constexpr int kExactRows = 2;
  static constexpr int kExactTokens = 2;
  static constexpr Products kProducts = Products::kWords;
  static constexpr bool kPacksSums = false;
  static constexpr bool kSignedWide = true;
  static constexpr int kRegisters = 8;  // pairs

  // --- loads ---
  static Bits load(const void* p) { return {load32(p), load32(static_cast<const char*>(p) + 32)}; }
  static void store(Bits x, void* p) {
    _mm256_storeu_si256(static_cast<__m256i*>(p), x.lo);
    _mm256_storeu_si256(static_cast<__m256i*>(p) + 1, x.hi);
  }
  static Bits load_quarters(const void* a, const void* b, const void* c, const void* d) {
    return {join(load16(a), load16(b)), join(load16(c), load16(d))};
  }
  static Bits load_splat16(const void* p) { return both(_mm256_broadcastsi128_si256(load16(p))); }
  static Bits load_splat4(const void* p) {
    int32_t x;
    __builtin_memcpy(&x, p, 4);
    return both(_mm256_set1_epi32(x));
  }
  static Bits set_quarters(uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
    return {_mm256_setr_epi64x(static_cast<long long>(a), 0, static_cast<long long>(b), 0),
            _mm256_setr_epi64x(static_cast<long long>(c), 0, static_cast<long long>(d), 0)};
  }

  // --- constants and bits ---
  static Bits zero() { return both(_mm256_setzero_si256()); }
  static Bits splat8(uint8_t x) { return both(_mm256_set1_epi8(static_cast<char>(x))); }
  static Bits splat16(int16_t x) { return both(_mm256_set1_epi16(x)); }
  static Bits splat32(uint32_t x) { return both(_mm256_set1_epi32(static_cast<int>(x))); }
  template <int n>
  static Bits shift_right(Bits x) {
    return {_mm256_srli_epi16(x.lo, n), _mm256_srli_epi16(x.hi, n)};
  }
  template <int n>
  static Bits shift_left(Bits x) {
    return {_mm256_slli_epi16(x.lo, n), _mm256_slli_epi16(x.hi, n)};
  }
  static Bits and_or(Bits a, Bits mask, Bits b) { return (a & mask) | b; }
  static Bits abs8(Bits x) { return {_mm256_abs_epi8(x.lo), _mm256_abs_epi8(x.hi)}; }
  static Bits flip_sign(Bits x) {
    const __m256i sign = _mm256_set1_epi8(-128);
    return {_mm256_xor_si256(x.lo, sign), _mm256_xor_si256(x.hi, sign)};
  }
  static Bits lookup(Bits table, Bits x) { return shuffle_bytes(table, x); }
  static Bits quarters(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
    return both(_mm256_broadcastsi128_si256(
        _mm_setr_epi32(static_cast<int>(a), static_cast<int>(b), static_cast<int>(c), static_cast<int>(d))));
  }
  template <int a, int b, int c, int d>
  static Bits shuffle_dwords(Bits x) {
    constexpr int kOrder = a | b << 2 | c << 4 | d << 6;
    return {_mm256_shuffle_epi32(x.lo, kOrder), _mm256_shuffle_epi32(x.hi, kOrder)};
  }
  static Bits shuffle_bytes(Bits x, Bits pattern) {
    return {_mm256_shuffle_epi8(x.lo, pattern.lo), _mm256_shuffle_epi8(x.hi, pattern.hi)};
  }
  static Bits subtract8(Bits a, Bits b) { return {_mm256_sub_epi8(a.lo, b.lo), _mm256_sub_epi8(a.hi, b.hi)}; }

  // --- scales ---

  // --- dwords ---
  static Bits add(Bits a, Bits b) { return {_mm256_add_epi32(a.lo, b.lo), _mm256_add_epi32(a.hi, b.hi)}; }
  static Bits subtract(Bits a, Bits b) { return {_mm256_sub_epi32(a.lo, b.lo), _mm256_sub_epi32(a.hi, b.hi)}; }
  static Bits multiply(Bits a, Bits b) { return {_mm256_mullo_epi32(a.lo, b.lo), _mm256_mullo_epi32(a.hi, b.hi)}; }
  template <int n>
  static Bits shift_left32(Bits x) {
    return {_mm256_slli_epi32(x.lo, n), _mm256_slli_epi32(x.hi, n)};
  }
  template <int n>
  static Bits shift_right32(Bits x) {
    return {_mm256_srli_epi32(x.lo, n), _mm256_srli_epi32(x.hi, n)};
  }
  template <int byte>
  static Bits byte_signed(Bits x) {
    const Bits high = shift_left32<24 - 8 * byte>(x);
    return {_mm256_srai_epi32(high.lo, 24), _mm256_srai_epi32(high.hi, 24)};
  }
  static Bits low_pair(Bits x) { return shuffle_bytes(x, pair_pattern(0)); }
  static Bits high_pair(Bits x) { return shuffle_bytes(x, pair_pattern(2)); }
  static Bits low_pair_signed(Bits x) { return pair_signed(low_pair(x)); }
  static Bits high_pair_signed(Bits x) { return pair_signed(high_pair(x)); }
  // Two products sum up in a word, which holds 2 * 128 * 127: wide codes are taken less their bias of 128, as signed
  // bytes, their signs moved to the activations (never -128).
  template <bool kWide>
  static Bits dot(Bits acc, Bits codes, Bits x) {
    if constexpr (!kWide) return dot_words(acc, multiply_pairs(codes, x), splat16(1));
    const Bits w = flip_sign(codes);
    const Bits magnitude = abs8(w);
    const Bits signed_x = {_mm256_sign_epi8(x.lo, w.lo), _mm256_sign_epi8(x.hi, w.hi)};
    return dot_words(acc, multiply_pairs(magnitude, signed_x), splat16(1));
  }
  // Words: the products of two unsigned codes and signed bytes, summed.
  static Bits multiply_pairs(Bits codes, Bits x) {
    return {_mm256_maddubs_epi16(codes.lo, x.lo), _mm256_maddubs_epi16(codes.hi, x.hi)};
  }
  static Bits add_words(Bits a, Bits b) { return {_mm256_add_epi16(a.lo, b.lo), _mm256_add_epi16(a.hi, b.hi)}; }
  static Bits low_word_twice(Bits dwords) {
    return (dwords & both(_mm256_set1_epi32(0xffff))) | shift_left32<16>(dwords);
  }
  static Bits dot_words(Bits acc, Bits a, Bits b) {
    return add(acc, {_mm256_madd_epi16(a.lo, b.lo), _mm256_madd_epi16(a.hi, b.hi)});
  }

  // --- across vectors ---
  static void transpose_quarters(Bits (&x)[4]) {
    transpose4(x[0].lo, x[1].lo, x[2].lo, x[3].lo);
    transpose4(x[0].hi, x[1].hi, x[2].hi, x[3].hi);
  }
  static Bits first_dwords(const Bits (&x)[4]) {
    return {_mm256_unpacklo_epi64(_mm256_unpacklo_epi32(x[0].lo, x[1].lo), _mm256_unpacklo_epi32(x[2].lo, x[3].lo)),
            _mm256_unpacklo_epi64(_mm256_unpacklo_epi32(x[0].hi, x[1].hi), _mm256_unpacklo_epi32(x[2].hi, x[3].hi))};
  }
  static Bits quarter_sums(const Bits (&x)[4]) {
    return {lane_sums(x[0].lo, x[1].lo, x[2].lo, x[3].lo), lane_sums(x[0].hi, x[1].hi, x[2].hi, x[3].hi)};
  }

  // --- to and from floats ---
  static Floats as_floats(Bits x) { return {_mm256_castsi256_ps(x.lo), _mm256_castsi256_ps(x.hi)}; }
  static Floats to_floats(Bits x) { return {_mm256_cvtepi32_ps(x.lo), _mm256_cvtepi32_ps(x.hi)}; }
  static Floats f16_low(Bits x) {
    const __m256i mask = _mm256_set1_epi32(0xffff);
    return {f16_of_dwords(_mm256_and_si256(x.lo, mask)), f16_of_dwords(_mm256_and_si256(x.hi, mask))};
  }
  static Floats f16_high(Bits x) {
    return {f16_of_dwords(_mm256_srli_epi32(x.lo, 16)), f16_of_dwords(_mm256_srli_epi32(x.hi, 16))};
  }
  static void store_int8(Floats x, int8_t* p) {
    const __m128i low = words_of(_mm256_cvtps_epi32(x.lo)), high = words_of(_mm256_cvtps_epi32(x.hi));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(low, high));
  }
  static void store_words(Bits x, int16_t* p) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), words_of(x.lo));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 8), words_of(x.hi));
  }

  static void fetch(Bits& x, const void* p) {
    asm volatile("prefetcht0 %1" : "+x"(x.lo) : "m"(*static_cast<const char*>(p)));
  }
  // Inlined early: g++ takes a function that only prefetches for one without effect and drops its calls.
  [[gnu::always_inline]] static void prefetch_to_write(const void* p) { __builtin_prefetch(p, 1); }

  static void keep(Bits& x) { asm volatile("" : "+x"(x.lo), "+x"(x.hi)); }
  static void keep(Floats& x) { asm volatile("" : "+x"(x.lo), "+x"(x.hi)); }

 private:
  static __m128i load16(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
  static __m256i load32(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
  static __m256i join(__m128i a, __m128i b) { return _mm256_inserti128_si256(_mm256_castsi128_si256(a), b, 1); }
  static Bits both(__m256i x) { return {x, x}; }
  static Bits pair_pattern(int first) {
    const uint32_t low = 0x80008000 + static_cast<uint32_t>(first + ((first + 1) << 16));
    return quarters(low, low + 0x00040004, low + 0x00080008, low + 0x000c000c);
  }
  static Bits pair_signed(Bits words) {
    const Bits high = shift_left<8>(words);
    return {_mm256_srai_epi16(high.lo, 8), _mm256_srai_epi16(high.hi, 8)};
  }
  // Dword c of each lane of (a, b, c, d)[z] becomes dword z of (a, b, c, d)[c].
  static void transpose4(__m256i& a, __m256i& b, __m256i& c, __m256i& d) {
    const __m256i ab_low = _mm256_unpacklo_epi32(a, b), ab_high = _mm256_unpackhi_epi32(a, b);
    const __m256i cd_low = _mm256_unpacklo_epi32(c, d), cd_high = _mm256_unpackhi_epi32(c, d);
    a = _mm256_unpacklo_epi64(ab_low, cd_low);
    b = _mm256_unpackhi_epi64(ab_low, cd_low);
    c = _mm256_unpacklo_epi64(ab_high, cd_high);
    d = _mm256_unpackhi_epi64(ab_high, cd_high);
  }
  // Per lane: the sums of the four dwords of a, b, c, d.
  static __m256i lane_sums(__m256i a, __m256i b, __m256i c, __m256i d) {
    const __m256i ab = _mm256_add_epi32(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
    const __m256i cd = _mm256_add_epi32(_mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d));
    return _mm256_add_epi32(_mm256_unpacklo_epi64(ab, cd), _mm256_unpackhi_epi64(ab, cd));
  }
  static __m256 f16_of_dwords(__m256i x) {
    return _mm256_cvtph_ps(_mm_packus_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1)));
  }
  static __m128i words_of(__m256i x) {
    return _mm_packs_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
  }
};

}  // namespace tessera::kernels::cpu::avx2
