// The integer words of the linear kernels on AVX2: avx512/vocabulary.h with its contract, half as many lanes.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/cpu/avx2/f32x16.h"
#include "kernels/cpu/products.h"

namespace tessera::kernels::cpu::avx2 {

struct Bits {
  __m256i v;
  friend Bits operator&(Bits a, Bits b) { return {_mm256_and_si256(a.v, b.v)}; }
  friend Bits operator|(Bits a, Bits b) { return {_mm256_or_si256(a.v, b.v)}; }
};

struct Vocabulary {
  using Bits = avx2::Bits;
  // Zen 3 reads eight long streams by its own prefetcher half as fast again as lines that are asked for.
  using Neighbours = void;
  using Distant = Vocabulary;
  using Floats = F32x8;
  using ExactFloats = F32x16;
  static constexpr int kRows = 8;
  // Three tokens, two vectors of rows: six registers of words, six of scaled sums, the rest for codes and products.
  static constexpr int kTokens = 3;
  static constexpr int kRowVectors = 2;
  static constexpr int kFewTokens = 4, kLeastPanelTokens = 5;
  static constexpr bool kFetchesNear = false;
  static constexpr Products kProducts = Products::kWords;
  static constexpr bool kNarrowSums = false, kJoinsSums = false, kReadsMinusSums = true;
  static constexpr bool kSignedWide = true;
  static constexpr int kRegisters = 16;

  // --- loads ---
  static Bits load(const void* p) { return {_mm256_loadu_si256(static_cast<const __m256i*>(p))}; }
  static void store(Bits x, void* p) { _mm256_storeu_si256(static_cast<__m256i*>(p), x.v); }
  template <class At>
  static Bits load_quarters(const At& at) {
    return {_mm256_inserti128_si256(_mm256_castsi128_si256(load16(at(0))), load16(at(1)), 1)};
  }
  static Bits load_splat16(const void* p) { return {_mm256_broadcastsi128_si256(load16(p))}; }
  static Bits load_splat4(const void* p) {
    int32_t x;
    __builtin_memcpy(&x, p, 4);
    return {_mm256_set1_epi32(x)};
  }
  template <class Value>
  static Bits set_quarters(const Value& value) {
    return {_mm256_setr_epi64x(static_cast<long long>(value(0)), 0, static_cast<long long>(value(1)), 0)};
  }

  // --- constants and bits ---
  static Bits zero() { return {_mm256_setzero_si256()}; }
  static Bits splat8(uint8_t x) { return {_mm256_set1_epi8(static_cast<char>(x))}; }
  static Bits splat16(int16_t x) { return {_mm256_set1_epi16(x)}; }
  static Bits splat32(uint32_t x) { return {_mm256_set1_epi32(static_cast<int>(x))}; }
  template <int n>
  static Bits shift_right(Bits x) {
    return {_mm256_srli_epi16(x.v, n)};
  }
  template <int n>
  static Bits shift_left(Bits x) {
    return {_mm256_slli_epi16(x.v, n)};
  }
  static Bits and_or(Bits a, Bits mask, Bits b) { return (a & mask) | b; }
  static Bits abs8(Bits x) { return {_mm256_abs_epi8(x.v)}; }
  static Bits flip_sign(Bits x) { return {_mm256_xor_si256(x.v, _mm256_set1_epi8(-128))}; }
  static Bits lookup(Bits table, Bits x) { return shuffle_bytes(table, x); }
  static Bits gather(const uint32_t* table, Bits x) {
    return {_mm256_mask_i32gather_epi32(_mm256_setzero_si256(), reinterpret_cast<const int*>(table), x.v,
                                        _mm256_set1_epi32(-1), 4)};
  }
  static Bits mirror(Bits x, Bits twice, Bits bits, Bits mask) {
    const __m256i keep = _mm256_cmpeq_epi8((bits & mask).v, _mm256_setzero_si256());
    return {_mm256_blendv_epi8(subtract8(twice, x).v, x.v, keep)};
  }
  static Bits quarters(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
    return {_mm256_broadcastsi128_si256(
        _mm_setr_epi32(static_cast<int>(a), static_cast<int>(b), static_cast<int>(c), static_cast<int>(d)))};
  }
  template <int a, int b, int c, int d>
  static Bits shuffle_dwords(Bits x) {
    return {_mm256_shuffle_epi32(x.v, a | b << 2 | c << 4 | d << 6)};
  }
  static Bits shuffle_bytes(Bits x, Bits pattern) { return {_mm256_shuffle_epi8(x.v, pattern.v)}; }
  static Bits subtract8(Bits a, Bits b) { return {_mm256_sub_epi8(a.v, b.v)}; }

  // --- dwords ---
  static Bits add(Bits a, Bits b) { return {_mm256_add_epi32(a.v, b.v)}; }
  static Bits subtract(Bits a, Bits b) { return {_mm256_sub_epi32(a.v, b.v)}; }
  static Bits multiply(Bits a, Bits b) { return {_mm256_mullo_epi32(a.v, b.v)}; }
  template <int n>
  static Bits shift_left32(Bits x) {
    return {_mm256_slli_epi32(x.v, n)};
  }
  template <int n>
  static Bits shift_right32(Bits x) {
    return {_mm256_srli_epi32(x.v, n)};
  }
  template <int byte>
  static Bits byte_signed(Bits x) {
    return {_mm256_srai_epi32(_mm256_slli_epi32(x.v, 24 - 8 * byte), 24)};
  }
  // Byte `byte` of each dword as both of its words.
  template <int byte>
  static Bits byte_twice(Bits x) {
    return {_mm256_srai_epi16(shuffle_bytes(x, each_dword(0x00800080 + 0x01000100 * byte, 0x04000400)).v, 8)};
  }
  static Bits low_pair(Bits x) { return shuffle_bytes(x, each_dword(0x80018000, 0x00040004)); }
  static Bits high_pair(Bits x) { return shuffle_bytes(x, each_dword(0x80038002, 0x00040004)); }
  static Bits low_pair_signed(Bits x) { return pair_signed(low_pair(x)); }
  static Bits high_pair_signed(Bits x) { return pair_signed(high_pair(x)); }
  // Two products sum up in a word, which holds 2 * 128 * 127: wide codes are signed, their signs are moved to the
  // activations (never -128).
  template <bool kWide>
  static Bits dot(Bits acc, Bits codes, Bits x) {
    if constexpr (!kWide) return dot_words(acc, multiply_pairs(codes, x), splat16(1));
    return dot_words(acc, multiply_pairs(abs8(codes), {_mm256_sign_epi8(x.v, codes.v)}), splat16(1));
  }
  // Words: the products of two unsigned codes and signed bytes, summed.
  static Bits multiply_pairs(Bits codes, Bits x) { return {_mm256_maddubs_epi16(codes.v, x.v)}; }
  // Kept where they are: g++ would compute all products first, which no registers can hold, and then add them up.
  static Bits add_words(Bits a, Bits b) { return keep(Bits{_mm256_add_epi16(a.v, b.v)}); }
  static Bits dot_words(Bits acc, Bits a, Bits b) { return keep(add(acc, {_mm256_madd_epi16(a.v, b.v)})); }

  // --- across vectors ---
  static void transpose_quarters(Bits (&x)[4]) {
    const __m256i a = _mm256_unpacklo_epi32(x[0].v, x[1].v), b = _mm256_unpackhi_epi32(x[0].v, x[1].v);
    const __m256i c = _mm256_unpacklo_epi32(x[2].v, x[3].v), d = _mm256_unpackhi_epi32(x[2].v, x[3].v);
    x[0].v = _mm256_unpacklo_epi64(a, c);
    x[1].v = _mm256_unpackhi_epi64(a, c);
    x[2].v = _mm256_unpacklo_epi64(b, d);
    x[3].v = _mm256_unpackhi_epi64(b, d);
  }
  static Bits first_dwords(const Bits (&x)[4]) {
    return {_mm256_unpacklo_epi64(_mm256_unpacklo_epi32(x[0].v, x[1].v), _mm256_unpacklo_epi32(x[2].v, x[3].v))};
  }
  static Bits quarter_sums(const Bits (&x)[4]) {
    const __m256i a = sum_pairs(x[0].v, x[1].v), b = sum_pairs(x[2].v, x[3].v);
    return {_mm256_add_epi32(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b))};
  }

  // --- to and from floats ---
  static Floats as_floats(Bits x) { return {_mm256_castsi256_ps(x.v)}; }
  static Floats to_floats(Bits dwords) { return {_mm256_cvtepi32_ps(dwords.v)}; }
  static Floats f16_low(Bits x) { return f16_high(shift_left32<16>(x)); }
  static Floats f16_high(Bits x) {
    const __m256i dwords = _mm256_srli_epi32(x.v, 16);
    return {_mm256_cvtph_ps(_mm_packus_epi32(_mm256_castsi256_si128(dwords), _mm256_extracti128_si256(dwords, 1)))};
  }
  static void store_int8(Floats x, int8_t* p) {
    const __m128i words = words_of(_mm256_cvtps_epi32(x.v));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(words, words));
  }
  static void store_words(Bits dwords, int16_t* p) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), words_of(dwords.v));
  }

  static Bits fetch(Bits x, const void* p) {
    asm volatile("prefetcht0 %1" : "+x"(x.v) : "m"(*static_cast<const char*>(p)));
    return x;
  }
  // Inlined early: g++ takes a function that only prefetches for one without effect and drops its calls.
  [[gnu::always_inline]] static void prefetch_to_write(const void* p) { __builtin_prefetch(p, 1); }

  static Bits keep(Bits x) {
    asm volatile("" : "+x"(x.v));
    return x;
  }

 private:
  static __m128i load16(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
  // A pattern of byte shuffles, `step` further on in each dword.
  static Bits each_dword(uint32_t order, uint32_t step) {
    return quarters(order, order + step, order + 2 * step, order + 3 * step);
  }
  static Bits pair_signed(Bits words) { return {_mm256_srai_epi16(_mm256_slli_epi16(words.v, 8), 8)}; }
  static __m256i sum_pairs(__m256i a, __m256i b) {  // per quarter: a0 + a2, b0 + b2, a1 + a3, b1 + b3
    return _mm256_add_epi32(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
  }
  static __m128i words_of(__m256i dwords) {
    return _mm_packs_epi32(_mm256_castsi256_si128(dwords), _mm256_extracti128_si256(dwords, 1));
  }
};

}  // namespace tessera::kernels::cpu::avx2
