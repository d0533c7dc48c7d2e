// The words of avx512/vocabulary.h on processors with AMX, and those of their tile registers (linear_matrix.h).
//
// Tile registers are eight of up to 16 rows of 64 bytes. A product takes tokens in rows, four values of each weight
// row in dwords (the form of PanelCodes), and adds into sums of one row a token, one dword a weight row.
#pragma once

#include "kernels/cpu/avx512_streams/vocabulary.h"

namespace tessera::kernels::cpu::amx {

using avx512::F32x16;

struct Vocabulary : avx512_streams::Vocabulary {
  using Neighbours = Vocabulary;
  static constexpr Products kProducts = Products::kMatrix;

  // These processors (Sapphire Rapids and later) have 16 buffers for lines on their way to the first cache and 48 for
  // the second: requests to the first one run at two thirds of what memory gives.
  static Bits fetch(Bits x, const void* p) {
    asm volatile("prefetcht1 %1" : "+v"(x.v) : "m"(*static_cast<const char*>(p)));
    return x;
  }

  // So each row's next block, which lies in the second cache by then, is asked for once more.
  static constexpr bool kFetchesNear = true;
  static Bits fetch_near(Bits x, const void* p) {
    asm volatile("prefetcht0 %1" : "+v"(x.v) : "m"(*static_cast<const char*>(p)));
    return x;
  }

  // Asks for the line at p, into the second cache.
  static void prefetch(const void* p) { asm volatile("prefetcht1 %0" : : "m"(*static_cast<const char*>(p))); }
  static void prefetch_to_write(const void* p) { prefetch(p); }

  // --- bytes times bytes, into words ---
  // Dwords' byte `byte` as each word's low (high) byte, the other zero: the factor of bytes 0 and 2 (1 and 3).
  template <int byte>
  static Bits factor_of_even(Bits x) {
    return {_mm512_shuffle_epi8(x.v, each_dword(0x80008000u + 0x00010001u * byte))};
  }
  template <int byte>
  static Bits factor_of_odd(Bits x) {
    return {_mm512_shuffle_epi8(x.v, each_dword(0x00800080u + 0x01000100u * byte))};
  }
  static Bits multiply_pairs(Bits codes, Bits x) { return {_mm512_maddubs_epi16(codes.v, x.v)}; }  // pairs summed
  static Bits subtract16(Bits a, Bits b) { return {_mm512_sub_epi16(a.v, b.v)}; }
  // The low (high) bytes of the words `even` at even places, of `odd` at odd ones.
  static Bits low_bytes(Bits even, Bits odd) {
    return {_mm512_mask_blend_epi8(0xaaaaaaaaaaaaaaaa, even.v, _mm512_slli_epi16(odd.v, 8))};
  }
  static Bits high_bytes(Bits even, Bits odd) {
    return {_mm512_mask_blend_epi8(0xaaaaaaaaaaaaaaaa, _mm512_srli_epi16(even.v, 8), odd.v)};
  }

  // --- small integers as two bf16 in each dword (both exact) ---
  static Bits bf16_twice(Bits dwords) {  // 0 .. 255
    const __m512i x = _mm512_castps_si512(_mm512_cvtepi32_ps(dwords.v));
    return {_mm512_or_si512(_mm512_srli_epi32(x, 16), x)};
  }
  static Bits bf16_parts(Bits dwords) {  // below 2^12 in absolute value; the parts add up to it
    const __m512i low = _mm512_and_si512(dwords.v, _mm512_set1_epi32(15)), high = _mm512_sub_epi32(dwords.v, low);
    const __m512i low_half = _mm512_srli_epi32(_mm512_castps_si512(_mm512_cvtepi32_ps(low)), 16);
    return {_mm512_or_si512(low_half, _mm512_castps_si512(_mm512_cvtepi32_ps(high)))};
  }

  // --- tile registers ---
  // Registers 0 to 3: sums, 4 and 5: `n_values` values of tokens, one of `rows` each; 6 and 7: codes, as many values of
  // sixteen weight rows.
  static void begin_tiles(int rows, int n_values) {
    struct {
      uint8_t palette = 1, start_row = 0, reserved[14] = {};
      uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      uint8_t rows[16] = {};
    } shape;  // Intel SDM, LDTILECFG
    static_assert(sizeof(shape) == 64);
    for (int i = 0; i < 8; ++i) shape.rows[i] = static_cast<uint8_t>(i < 6 ? rows : n_values / 4);
    shape.row_bytes[4] = shape.row_bytes[5] = static_cast<uint16_t>(n_values);
    asm volatile("ldtilecfg %0" : : "m"(shape));
  }
  static void end_tiles() { asm volatile("tilerelease"); }
  template <int tile>
  static void zero_tile() {
    asm volatile("tilezero %%tmm%c0" : : "i"(tile));
  }
  template <int tile>
  static void load_tile(const void* p, int64_t stride) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(p), "r"(stride), "i"(tile) : "memory");
  }
  template <int tile>
  static void store_tile(void* p) {  // rows 64 bytes apart
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(p), "r"(int64_t{64}), "i"(tile) : "memory");
  }
  template <int tile>
  static void take_tile(void* to) {  // stored and emptied
    store_tile<tile>(to);
    zero_tile<tile>();
  }
  // sums += x * codes; x is signed.
  template <int sums, int x, int codes, bool kSigned>
  static void dot_tiles() {
    if constexpr (kSigned)
      asm volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(sums), "i"(x), "i"(codes));
    else
      asm volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(sums), "i"(x), "i"(codes));
  }
  // sums += x * mins, all of them f32: x and mins are pairs of bf16 in each dword.
  template <int sums, int x, int mins>
  static void dot_tiles_bf16() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(sums), "i"(x), "i"(mins));
  }

 private:
  // Bytes of dword 0 for `pattern`, and of the others the bytes as far into them.
  static __m512i each_dword(uint32_t pattern) {
    const auto dword = [pattern](uint32_t i) { return static_cast<int>(pattern + 0x04040404u * i); };
    return _mm512_broadcast_i32x4(_mm_setr_epi32(dword(0), dword(1), dword(2), dword(3)));
  }
};

}  // namespace tessera::kernels::cpu::amx
