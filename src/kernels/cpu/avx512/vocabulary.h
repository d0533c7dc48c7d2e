// The integer words of the linear kernels on AVX-512. The same words exist in avx2/vocabulary.h; together with F32x16
// they are all that unpack/*.h and the drivers (linear_few.h, linear_panel.h, linear_exact.h) know of a machine.
//
// A Bits is 512 bits: 64 bytes, 32 words or 16 dwords in four quarters of 128 bits; on other machines it may have fewer
// quarters. Byte shuffles stay in their quarter. Sums of integers may be taken in any order: they are exact.
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
  // Whose kernels of few tokens read rows in this order (RowOrder); void: there are none.
  using Neighbours = Vocabulary;
  using Distant = void;             // Zen 5 was slower with them
  using Floats = F32x16;            // one for each dword
  using ExactFloats = F32x16;       // of the exact arithmetic, which has sixteen lanes everywhere
  static constexpr int kRows = 16;  // dwords, each of a weight row; four a quarter
  // Of a prefill microkernel: 12 dots and 12 sums in registers. Three tokens for four row vectors ask the third cache
  // for half as many activations as six for two.
  static constexpr int kTokens = 3;
  static constexpr int kRowVectors = 4;
  // Of the kernel for few tokens: 8 sums and 8 totals beside 8 vectors of packed bytes. From 13 tokens on, unpacking to
  // memory takes less time.
  static constexpr int kFewTokens = 8;
  static constexpr int kLeastPanelTokens = 13;
  static constexpr bool kFetchesNear = false;  // asks for lines once, straight into the first cache
  static constexpr Products kProducts = Products::kDwords;
  // Where words hold the sums of groups, dot_words() scales and adds them up, here those of two at once: Zen 5
  // multiplies on two pipes and shifts on others.
  static constexpr bool kNarrowSums = true, kJoinsSums = true;
  static constexpr bool kReadsMinusSums = true;  // biased products begin from those of ActivationBlock256
  static constexpr bool kSignedWide = false;     // dot() takes wide codes as they are
  static constexpr int kRegisters = 32;          // of 16 dwords

  // --- loads: p need not be aligned ---
  static Bits load(const void* p) { return {_mm512_loadu_si512(p)}; }
  static void store(Bits x, void* p) { _mm512_storeu_si512(p, x.v); }
  // Quarter q: the 16 bytes at at(q).
  template <class At>
  static Bits load_quarters(const At& at) {
    const __m256i ab = _mm256_inserti128_si256(_mm256_castsi128_si256(load16(at(0))), load16(at(1)), 1);
    const __m256i cd = _mm256_inserti128_si256(_mm256_castsi128_si256(load16(at(2))), load16(at(3)), 1);
    return {_mm512_inserti64x4(_mm512_castsi256_si512(ab), cd, 1)};
  }
  static Bits load_splat16(const void* p) { return {_mm512_broadcast_i32x4(load16(p))}; }  // 16 bytes, in all quarters
  static Bits load_splat4(const void* p) {                                                 // 4 bytes, in all dwords
    int32_t x;
    __builtin_memcpy(&x, p, 4);
    return {_mm512_set1_epi32(x)};
  }
  // Quarter q: the 8 bytes of value(q), then zeros.
  template <class Value>
  static Bits set_quarters(const Value& value) {
    const auto low = [&](int q) { return static_cast<long long>(value(q)); };
    return {_mm512_setr_epi64(low(0), 0, low(1), 0, low(2), 0, low(3), 0)};
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
  // (a & mask) | b
  static Bits and_or(Bits a, Bits mask, Bits b) { return {_mm512_ternarylogic_epi64(a.v, mask.v, b.v, 0xea)}; }
  static Bits abs8(Bits x) { return {_mm512_abs_epi8(x.v)}; }
  static Bits flip_sign(Bits x) { return {_mm512_xor_si512(x.v, _mm512_set1_epi8(-128))}; }
  // table[x] in each quarter; x < 16.
  static Bits lookup(Bits table, Bits x) { return {_mm512_shuffle_epi8(table.v, x.v)}; }
  // table[x] for each dword x. Into zeros: else it waits for what its register held before.
  static Bits gather(const uint32_t* table, Bits x) {
    return {_mm512_mask_i32gather_epi32(_mm512_setzero_si512(), 0xffff, x.v, table, 4)};
  }
  // Bytes: twice - x where bits & mask has ones, x elsewhere.
  static Bits mirror(Bits x, Bits twice, Bits bits, Bits mask) {
    return {_mm512_mask_sub_epi8(x.v, _mm512_test_epi8_mask(bits.v, mask.v), twice.v, x.v)};
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
  static Bits subtract8(Bits a, Bits b) { return {_mm512_sub_epi8(a.v, b.v)}; }                      // bytes

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
  // The low words of `low` and the high words of `high`, in each dword.
  static Bits join_words(Bits low, Bits high) { return {_mm512_mask_blend_epi16(0xaaaaaaaa, low.v, high.v)}; }
  // acc + codes (unsigned) * x (signed), four products summed into each dword. kWide: codes above 127 occur.
  template <bool kWide>
  static Bits dot(Bits acc, Bits codes, Bits x) {
    return {_mm512_dpbusd_epi32(acc.v, codes.v, x.v)};
  }
  // acc + a * b, pairs of signed words summed into each dword.
  static Bits dot_words(Bits acc, Bits a, Bits b) { return {_mm512_dpwssd_epi32(acc.v, a.v, b.v)}; }

  // --- across vectors ---
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
  // rest. By value: what an instruction may change in place g++ keeps in memory, if it is part of an array.
  static Bits fetch(Bits x, const void* p) {
    asm volatile("prefetcht0 %1" : "+v"(x.v) : "m"(*static_cast<const char*>(p)));
    return x;
  }
  // Inlined early: g++ takes a function that only prefetches for one without effect and drops its calls.
  [[gnu::always_inline]] static void prefetch_to_write(const void* p) { __builtin_prefetch(p, 1); }

  // `x`, which counts as used and as changed to the compiler: it is computed where this is written.
  static Bits keep(Bits x) {
    asm volatile("" : "+v"(x.v));
    return x;
  }

 private:
  static __m128i load16(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
  static __m512i pair_pattern(int first) {
    const int low = 0x80008000 + first + ((first + 1) << 16);
    return _mm512_broadcast_i32x4(_mm_setr_epi32(low, low + 0x00040004, low + 0x00080008, low + 0x000c000c));
  }
  static Bits pair_signed(Bits words) { return {_mm512_srai_epi16(_mm512_slli_epi16(words.v, 8), 8)}; }
  static __m512i sum_pairs(__m512i a, __m512i b) {  // per quarter: a0 + a2, b0 + b2, a1 + a3, b1 + b3
    return _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
  }
};

}  // namespace tessera::kernels::cpu::avx512
