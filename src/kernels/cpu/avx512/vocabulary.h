// The integer words of the linear kernels on AVX-512. The same words exist in avx2/vocabulary.h; together with F32x16
// they are all that unpack/*.h and the drivers (linear_decode.h, linear_panel.h, linear_exact.h) know of a machine.
//
// A Bits is 512 bits: 64 bytes, 32 words or 16 dwords in four quarters of 128 bits. Byte shuffles stay in their
// quarter. Sums of integers may be taken in any order: they are exact.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/cpu/avx512/f32x16.h"
#include "kernels/cpu/products.h"

namespace tessera::kernels::cpu::avx512 {

struct Bits {
  __m512i v;
  friend Bits operator&(Bits a, Bits b) { return {_mm512_and_si512(a.v, b.v)}; }
  friend Bits operator|(Bits a, Bits b) { return {_mm512_or_si512(a.v, b.v)}; }
};

struct Vocabulary {
  using Bits = avx512::Bits;
  using Floats = F32x16;
  // Of a prefill microkernel: 12 dots and 12 sums in registers. Three tokens for four row vectors ask the third cache
  // for half as many activations as six for two.
  static constexpr int kTokens = 3;
  static constexpr int kRowVectors = 4;
  // Of the exact microkernel: 16 accumulators, 4 vectors of weights.
  static constexpr int kExactRows = 4;
  static constexpr int kExactTokens = 4;
  static constexpr Products kProducts = Products::kDwords;
  static constexpr bool kPacksSums = true;    // has the words for PackedSums, and gains by them
  static constexpr bool kSignedWide = false;  // dot() takes wide codes as they are
  static constexpr int kRegisters = 32;       // of 16 dwords

  // --- loads: p need not be aligned ---
  static Bits load(const void* p) { return {_mm512_loadu_si512(p)}; }
  static void store(Bits x, void* p) { _mm512_storeu_si512(p, x.v); }
  static Bits load_halves(const void* a, const void* b) {  // 32 bytes each
    return {_mm512_inserti64x4(_mm512_castsi256_si512(load32(a)), load32(b), 1)};
  }
  static Bits load_quarters(const void* a, const void* b, const void* c, const void* d) {  // 16 bytes each
    const __m256i ab = _mm256_inserti128_si256(_mm256_castsi128_si256(load16(a)), load16(b), 1);
    const __m256i cd = _mm256_inserti128_si256(_mm256_castsi128_si256(load16(c)), load16(d), 1);
    return {_mm512_inserti64x4(_mm512_castsi256_si512(ab), cd, 1)};
  }
  static Bits load_twice(const void* a, const void* b) {  // 16 bytes each: quarters a, a, b, b
    const __m256i aa = _mm256_broadcastsi128_si256(load16(a)), bb = _mm256_broadcastsi128_si256(load16(b));
    return {_mm512_inserti64x4(_mm512_castsi256_si512(aa), bb, 1)};
  }
  static Bits load_splat16(const void* p) { return {_mm512_broadcast_i32x4(load16(p))}; }  // 16 bytes, in all quarters
  // Words at p, p + stride, .. p + 7 stride in each quarter.
  template <int stride>
  static Bits gather_quarters(const void* a, const void* b, const void* c, const void* d) {
    const __m256i ab = _mm256_inserti128_si256(_mm256_castsi128_si256(gather8<stride>(a)), gather8<stride>(b), 1);
    const __m256i cd = _mm256_inserti128_si256(_mm256_castsi128_si256(gather8<stride>(c)), gather8<stride>(d), 1);
    return {_mm512_inserti64x4(_mm512_castsi256_si512(ab), cd, 1)};
  }
  static Bits load_splat4(const void* p) {  // 4 bytes, in all dwords
    int32_t x;
    __builtin_memcpy(&x, p, 4);
    return {_mm512_set1_epi32(x)};
  }
  static Bits set_quarters(uint64_t a, uint64_t b, uint64_t c, uint64_t d) {  // the lower 8 bytes, the others zero
    return {_mm512_setr_epi64(static_cast<long long>(a), 0, static_cast<long long>(b), 0, static_cast<long long>(c), 0,
                              static_cast<long long>(d), 0)};
  }

  // --- constants and bits ---
  static Bits zero() { return {_mm512_setzero_si512()}; }
  static Bits splat8(uint8_t x) { return {_mm512_set1_epi8(static_cast<char>(x))}; }
  static Bits splat32(uint32_t x) { return {_mm512_set1_epi32(static_cast<int>(x))}; }
  template <int n>
  static Bits shift_right(Bits x) {  // of words: bits cross from the high byte into the low one
    return {_mm512_srli_epi16(x.v, n)};
  }
  template <int n>
  static Bits shift_left(Bits x) {
    return {_mm512_slli_epi16(x.v, n)};
  }
  // Bit `low` of the bytes of the lower half and bit `high` of those of the upper half come to lie at bit `to`; other
  // bits hold anything.
  template <int low, int high, int to>
  static Bits shift_halves_to_bit(Bits x) {
    constexpr long long kRight = 0x0001000100010001 * (low > to ? low - to : 0);
    constexpr long long kRightUpper = 0x0001000100010001 * (high > to ? high - to : 0);
    constexpr long long kLeft = 0x0001000100010001 * (to > low ? to - low : 0);
    constexpr long long kLeftUpper = 0x0001000100010001 * (to > high ? to - high : 0);
    __m512i v = x.v;
    if constexpr (kRight | kRightUpper)
      v = _mm512_srlv_epi16(
          v, _mm512_setr_epi64(kRight, kRight, kRight, kRight, kRightUpper, kRightUpper, kRightUpper, kRightUpper));
    if constexpr (kLeft | kLeftUpper)
      v = _mm512_sllv_epi16(
          v, _mm512_setr_epi64(kLeft, kLeft, kLeft, kLeft, kLeftUpper, kLeftUpper, kLeftUpper, kLeftUpper));
    return {v};
  }
  // (a & mask) | b
  static Bits and_or(Bits a, Bits mask, Bits b) { return {_mm512_ternarylogic_epi64(a.v, mask.v, b.v, 0xea)}; }
  static Bits abs8(Bits x) { return {_mm512_abs_epi8(x.v)}; }
  static Bits flip_sign(Bits x) { return {_mm512_xor_si512(x.v, _mm512_set1_epi8(-128))}; }
  // Even quarters: low nibbles of each byte; odd quarters: high nibbles.
  static Bits nibbles_by_quarter(Bits x) {
    const __m512i by =
        _mm512_setr_epi64(0, 0, 0x0004000400040004, 0x0004000400040004, 0, 0, 0x0004000400040004, 0x0004000400040004);
    return {_mm512_and_si512(_mm512_srlv_epi16(x.v, by), _mm512_set1_epi8(15))};
  }
  // table[x] in each quarter; x < 16.
  static Bits lookup(Bits table, Bits x) { return {_mm512_shuffle_epi8(table.v, x.v)}; }
  // Byte i of the low half is `value` where bit i of low is set, else 0; the high half likewise.
  static Bits bytes_of_bits(uint32_t low, uint32_t high, uint8_t value) {
    const __mmask64 mask = (uint64_t{high} << 32) | low;
    return {_mm512_maskz_mov_epi8(mask, _mm512_set1_epi8(static_cast<char>(value)))};
  }

  // The same four dwords in every quarter.
  static Bits quarters(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
    return {_mm512_broadcast_i32x4(
        _mm_setr_epi32(static_cast<int>(a), static_cast<int>(b), static_cast<int>(c), static_cast<int>(d)))};
  }
  template <int a, int b, int c, int d>
  static Bits shuffle_dwords(Bits x) {  // of each quarter
    return {_mm512_shuffle_epi32(x.v, static_cast<_MM_PERM_ENUM>(a | b << 2 | c << 4 | d << 6))};
  }
  static Bits shuffle_bytes(Bits x, Bits pattern) { return {_mm512_shuffle_epi8(x.v, pattern.v)}; }  // of each quarter
  static Bits shift_left_each(Bits x, Bits by) { return {_mm512_sllv_epi32(x.v, by.v)}; }            // dwords
  static Bits subtract8(Bits a, Bits b) { return {_mm512_sub_epi8(a.v, b.v)}; }                      // bytes
  static Bits shift_right_each(Bits x, Bits by) { return {_mm512_srlv_epi32(x.v, by.v)}; }           // dwords

  // --- scales: 16 bytes in each quarter, one quarter per weight row ---
  static Bits low_words(Bits x) { return {_mm512_unpacklo_epi8(x.v, _mm512_setzero_si512())}; }  // bytes 0..7, unsigned
  static Bits high_words(Bits x) { return {_mm512_unpackhi_epi8(x.v, _mm512_setzero_si512())}; }  // bytes 8..15
  static Bits low_words_signed(Bits x) { return {_mm512_srai_epi16(_mm512_unpacklo_epi8(x.v, x.v), 8)}; }
  static Bits high_words_signed(Bits x) { return {_mm512_srai_epi16(_mm512_unpackhi_epi8(x.v, x.v), 8)}; }
  // Of quarter `row` of the scales, those of code vector i, each repeated over its values' words. With groups of 16:
  // words 2i, 2i+1 of `low` in quarters 0, 1 and of `high` in quarters 2, 3.
  template <int row, int i>
  static Bits spread_16(Bits low, Bits high) {
    return {_mm512_permutex2var_epi16(low.v, spread_index(row, 2 * i, 2 * i + 1, 32 + 2 * i, 33 + 2 * i), high.v)};
  }
  // With groups of 32: word i in quarters 0 and 1, word i + 4 in quarters 2 and 3.
  template <int row, int i>
  static Bits spread_32(Bits words) {
    return {_mm512_permutexvar_epi16(spread_index(row, i, i, i + 4, i + 4), words.v)};
  }

  // --- dwords ---
  static Bits add(Bits a, Bits b) { return {_mm512_add_epi32(a.v, b.v)}; }
  static Bits subtract(Bits a, Bits b) { return {_mm512_sub_epi32(a.v, b.v)}; }
  static Bits multiply(Bits a, Bits b) { return {_mm512_mullo_epi32(a.v, b.v)}; }
  template <int n>
  static Bits shift_left32(Bits x) {
    return {_mm512_slli_epi32(x.v, n)};
  }
  template <int n>
  static Bits shift_right32(Bits x) {
    return {_mm512_srli_epi32(x.v, n)};
  }
  template <int byte>
  static Bits byte_signed(Bits x) {  // byte `byte` of each dword, as a dword
    return {_mm512_srai_epi32(_mm512_slli_epi32(x.v, 24 - 8 * byte), 24)};
  }
  // Bytes 0, 1 (2, 3) of each dword as two words.
  static Bits low_pair(Bits x) { return {_mm512_shuffle_epi8(x.v, pair_pattern(0))}; }
  static Bits high_pair(Bits x) { return {_mm512_shuffle_epi8(x.v, pair_pattern(2))}; }
  static Bits low_pair_signed(Bits x) { return pair_signed(low_pair(x)); }
  static Bits high_pair_signed(Bits x) { return pair_signed(high_pair(x)); }
  template <int word>
  static Bits word_signed(Bits x) {  // word `word` of each dword, as a dword
    return {_mm512_srai_epi32(word == 0 ? _mm512_slli_epi32(x.v, 16) : x.v, 16)};
  }
  // The low words of `low` and the high words of `high`, in each dword.
  static Bits join_words(Bits low, Bits high) { return {_mm512_mask_blend_epi16(0xaaaaaaaa, low.v, high.v)}; }
  // acc + codes (unsigned) * x (signed), four products summed into each dword. kWide: codes above 63 occur.
  template <bool kWide>
  static Bits dot(Bits acc, Bits codes, Bits x) {
    return {_mm512_dpbusd_epi32(acc.v, codes.v, x.v)};
  }
  // acc + the same, times the scale each word of `scales` holds for its two values.
  template <bool kWide>
  static Bits dot_scaled(Bits acc, Bits codes, Bits x, Bits scales) {
    if constexpr (kWide) {
      const __m512i sum = _mm512_dpbusd_epi32(_mm512_setzero_si512(), codes.v, x.v);
      return {_mm512_add_epi32(acc.v, _mm512_mullo_epi32(sum, _mm512_srai_epi32(scales.v, 16)))};
    } else {
      return {_mm512_dpwssd_epi32(acc.v, _mm512_maddubs_epi16(codes.v, x.v), scales.v)};
    }
  }
  // acc + a * b, pairs of signed words summed into each dword.
  static Bits dot_words(Bits acc, Bits a, Bits b) { return {_mm512_dpwssd_epi32(acc.v, a.v, b.v)}; }

  // --- across vectors ---
  // Dword j of x[i] becomes dword i of x[j].
  static void transpose(Bits (&x)[16]) {
    __m512i a[16], b[16];
    for (int i = 0; i < 16; i += 2) {
      a[i] = _mm512_unpacklo_epi32(x[i].v, x[i + 1].v);
      a[i + 1] = _mm512_unpackhi_epi32(x[i].v, x[i + 1].v);
    }
    for (int i = 0; i < 16; i += 4) {  // b[i + c]: dword c of every quarter of rows i .. i+3
      b[i] = _mm512_unpacklo_epi64(a[i], a[i + 2]);
      b[i + 1] = _mm512_unpackhi_epi64(a[i], a[i + 2]);
      b[i + 2] = _mm512_unpacklo_epi64(a[i + 1], a[i + 3]);
      b[i + 3] = _mm512_unpackhi_epi64(a[i + 1], a[i + 3]);
    }
    for (int c = 0; c < 4; ++c) {
      const __m512i even_01 = _mm512_shuffle_i32x4(b[c], b[4 + c], 0x88),
                    odd_01 = _mm512_shuffle_i32x4(b[c], b[4 + c], 0xdd);
      const __m512i even_23 = _mm512_shuffle_i32x4(b[8 + c], b[12 + c], 0x88);
      const __m512i odd_23 = _mm512_shuffle_i32x4(b[8 + c], b[12 + c], 0xdd);
      x[c].v = _mm512_shuffle_i32x4(even_01, even_23, 0x88);
      x[8 + c].v = _mm512_shuffle_i32x4(even_01, even_23, 0xdd);
      x[4 + c].v = _mm512_shuffle_i32x4(odd_01, odd_23, 0x88);
      x[12 + c].v = _mm512_shuffle_i32x4(odd_01, odd_23, 0xdd);
    }
  }
  // Dword c of quarter q of x[z] becomes dword 4q + z of x[c].
  static void transpose_quarters(Bits (&x)[4]) {
    const __m512i a = _mm512_unpacklo_epi32(x[0].v, x[1].v), b = _mm512_unpackhi_epi32(x[0].v, x[1].v);
    const __m512i c = _mm512_unpacklo_epi32(x[2].v, x[3].v), d = _mm512_unpackhi_epi32(x[2].v, x[3].v);
    x[0].v = _mm512_unpacklo_epi64(a, c);
    x[1].v = _mm512_unpackhi_epi64(a, c);
    x[2].v = _mm512_unpacklo_epi64(b, d);
    x[3].v = _mm512_unpackhi_epi64(b, d);
  }
  // Dword 0 of quarter q of x[z] becomes dword 4q + z.
  static Bits first_dwords(const Bits (&x)[4]) {
    return {_mm512_unpacklo_epi64(_mm512_unpacklo_epi32(x[0].v, x[1].v), _mm512_unpacklo_epi32(x[2].v, x[3].v))};
  }
  // Dword 4q + z: the sum of the four dwords of quarter q of x[z].
  static Bits quarter_sums(const Bits (&x)[4]) {
    const __m512i a = sum_pairs(x[0].v, x[1].v), b = sum_pairs(x[2].v, x[3].v);
    return {_mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b))};
  }
  // Dword i: the sum of all dwords of x[i].
  static Bits sums(const Bits (&x)[16]) {
    __m512i low, high;
    half_sums(x, low, high);
    return {_mm512_add_epi32(low, high)};
  }
  // Dword i: the sum of the lower (upper) eight dwords of x[i].
  static void half_sums(const Bits (&x)[16], Bits& lower, Bits& upper) { half_sums(x, lower.v, upper.v); }

  // --- to and from floats ---
  static Floats as_floats(Bits x) { return {_mm512_castsi512_ps(x.v)}; }  // the bits of sixteen floats
  static Floats to_floats(Bits dwords) { return {_mm512_cvtepi32_ps(dwords.v)}; }
  static Floats f16_low(Bits x) { return {_mm512_cvtph_ps(_mm512_cvtepi32_epi16(x.v))}; }  // low word of each dword
  static Floats f16_high(Bits x) { return f16_low(shift_right32<16>(x)); }
  // Sixteen int8, rounded to nearest even; lanes within [-128, 127].
  static void store_int8(Floats x, int8_t* p) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(x.v)));
  }
  static void store_words(Bits dwords, int16_t* p) {  // sixteen
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(dwords.v));
  }

  // Asks for the line at p after what made `x` and before what uses it. The value ties the request to its place: left
  // to itself the compiler gathers requests into bursts longer than the processor's queue of misses, which drops the
  // rest.
  static void fetch(Bits& x, const void* p) {
    asm volatile("prefetcht0 %1" : "+v"(x.v) : "m"(*static_cast<const char*>(p)));
  }
  // Inlined early: g++ takes a function that only prefetches for one without effect and drops its calls.
  [[gnu::always_inline]] static void prefetch_to_write(const void* p) { __builtin_prefetch(p, 1); }

  // The value counts as used and as changed to the compiler.
  static void keep(Bits& x) { asm volatile("" : "+v"(x.v)); }
  static void keep(Floats& x) { asm volatile("" : "+v"(x.v)); }

 private:
  static __m128i load16(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
  static __m256i load32(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
  template <int stride>
  static __m128i gather8(const void* p) {
    const auto word = [p](int i) {
      int16_t w;
      __builtin_memcpy(&w, static_cast<const char*>(p) + stride * i, 2);
      return w;
    };
    return _mm_setr_epi16(word(0), word(1), word(2), word(3), word(4), word(5), word(6), word(7));
  }
  static __m512i spread_index(int row, int a, int b, int c, int d) {
    const auto four = [row](int w) { return 0x0001000100010001 * (8 * row + w); };
    return _mm512_setr_epi64(four(a), four(a), four(b), four(b), four(c), four(c), four(d), four(d));
  }
  static __m512i pair_pattern(int first) {
    const int low = 0x80008000 + first + ((first + 1) << 16);
    return _mm512_broadcast_i32x4(_mm_setr_epi32(low, low + 0x00040004, low + 0x00080008, low + 0x000c000c));
  }
  static Bits pair_signed(Bits words) { return {_mm512_srai_epi16(_mm512_slli_epi16(words.v, 8), 8)}; }
  static __m512i sum_pairs(__m512i a, __m512i b) {  // per quarter: a0 + a2, b0 + b2, a1 + a3, b1 + b3
    return _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
  }
  static void half_sums(const Bits (&x)[16], __m512i& lower, __m512i& upper) {
    __m512i g[4];  // quarter q of g[z]: the sums of quarter q of rows 4z .. 4z+3
    for (int z = 0; z < 4; ++z) {
      const __m512i a = sum_pairs(x[4 * z].v, x[4 * z + 1].v), b = sum_pairs(x[4 * z + 2].v, x[4 * z + 3].v);
      g[z] = _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
    }
    const auto halves = [](__m512i p, __m512i q) {  // p's lower, p's upper, q's lower, q's upper
      return _mm512_add_epi32(_mm512_shuffle_i32x4(p, q, 0x88), _mm512_shuffle_i32x4(p, q, 0xdd));
    };
    const __m512i h01 = halves(g[0], g[1]), h23 = halves(g[2], g[3]);
    lower = _mm512_shuffle_i32x4(h01, h23, 0x88);
    upper = _mm512_shuffle_i32x4(h01, h23, 0xdd);
  }
};

}  // namespace tessera::kernels::cpu::avx512
