// The integer words of the linear kernels on AArch64 with dotprod: avx512/vocabulary.h with its contract, a quarter in
// each of four registers. Compiled once more where 8-bit matrix products exist, which prefill then uses.
#pragma once

#include <arm_neon.h>

#include <cstdint>

#include "kernels/cpu/neon/f32x16.h"
#include "kernels/cpu/products.h"

namespace tessera::kernels::cpu::TESSERA_ISA {

#ifdef __ARM_FEATURE_MATMUL_INT8
inline constexpr bool kHasMatrices = true;
#else
inline constexpr bool kHasMatrices = false;
#endif

struct Bits {
  uint8x16_t q[4];

  static Bits all(uint8x16_t x) { return {{x, x, x, x}}; }
  static Bits halves(uint8x16_t lower, uint8x16_t upper) { return {{lower, lower, upper, upper}}; }
  template <typename Fn>
  static Bits each(Bits a, Fn fn) {
    return {{fn(a.q[0]), fn(a.q[1]), fn(a.q[2]), fn(a.q[3])}};
  }
  template <typename Fn>
  static Bits each(Bits a, Bits b, Fn fn) {
    return {{fn(a.q[0], b.q[0]), fn(a.q[1], b.q[1]), fn(a.q[2], b.q[2]), fn(a.q[3], b.q[3])}};
  }
  friend Bits operator&(Bits a, Bits b) { return each(a, b, vandq_u8); }
  friend Bits operator|(Bits a, Bits b) { return each(a, b, vorrq_u8); }
};

struct Vocabulary {
  using Bits = TESSERA_ISA::Bits;
  using Neighbours = Vocabulary;
  using Distant = void;
  using Floats = F32x16;
  using ExactFloats = F32x16;
  static constexpr int kRows = 16;
  // Two tokens, one vector of rows: 8 registers of dots and 8 of scaled sums.
  static constexpr int kTokens = 2;
  static constexpr int kRowVectors = 1;
  static constexpr int kFewTokens = 2, kLeastPanelTokens = 3;
  static constexpr bool kFetchesNear = false;
  static constexpr Products kProducts = kHasMatrices ? Products::kTokenPairs : Products::kDwords;
  static constexpr bool kNarrowSums = false, kJoinsSums = false, kReadsMinusSums = true;
  static constexpr bool kSignedWide = true;  // the dot product takes signed bytes
  static constexpr int kRegisters = 8;       // quadruples

  // --- loads ---
  static Bits load(const void* p) { return {{load16(p, 0), load16(p, 16), load16(p, 32), load16(p, 48)}}; }
  static void store(Bits x, void* p) {
    for (int i = 0; i < 4; ++i) vst1q_u8(static_cast<uint8_t*>(p) + 16 * i, x.q[i]);
  }
  template <class At>
  static Bits load_quarters(const At& at) {
    return {{load16(at(0), 0), load16(at(1), 0), load16(at(2), 0), load16(at(3), 0)}};
  }
  static Bits load_splat16(const void* p) { return Bits::all(load16(p, 0)); }
  static Bits load_splat4(const void* p) {
    uint32_t x;
    __builtin_memcpy(&x, p, 4);
    return splat32(x);
  }
  template <class Value>
  static Bits set_quarters(const Value& value) {
    const auto low = [](uint64_t x) { return vcombine_u8(vcreate_u8(x), vcreate_u8(0)); };
    return {{low(value(0)), low(value(1)), low(value(2)), low(value(3))}};
  }

  // --- constants and bits ---
  static Bits zero() { return splat8(0); }
  static Bits splat8(uint8_t x) { return Bits::all(vdupq_n_u8(x)); }
  static Bits splat32(uint32_t x) { return Bits::all(vreinterpretq_u8_u32(vdupq_n_u32(x))); }
  template <int n>
  static Bits shift_right(Bits x) {
    return Bits::each(x, to_bit<n, 0>);
  }
  template <int n>
  static Bits shift_left(Bits x) {
    return Bits::each(x, to_bit<0, n>);
  }
  static Bits and_or(Bits a, Bits mask, Bits b) { return (a & mask) | b; }
  static Bits abs8(Bits x) {
    return Bits::each(x, [](uint8x16_t q) { return vreinterpretq_u8_s8(vabsq_s8(vreinterpretq_s8_u8(q))); });
  }
  static Bits flip_sign(Bits x) {
    return Bits::each(x, [](uint8x16_t q) { return veorq_u8(q, vdupq_n_u8(0x80)); });
  }
  static Bits lookup(Bits table, Bits x) { return shuffle_bytes(table, x); }
  static Bits gather(const uint32_t* table, Bits x) {
    return Bits::each(x, [table](uint8x16_t q) {
      uint32_t at[4];
      vst1q_u32(at, vreinterpretq_u32_u8(q));
      for (uint32_t& i : at) i = table[i];
      return vreinterpretq_u8_u32(vld1q_u32(at));
    });
  }
  static Bits mirror(Bits x, Bits twice, Bits bits, Bits mask) {
    const Bits other = subtract8(twice, x), swap = Bits::each(bits, mask, vtstq_u8);
    Bits out;
    for (int i = 0; i < 4; ++i) out.q[i] = vbslq_u8(swap.q[i], other.q[i], x.q[i]);
    return out;
  }
  static Bits quarters(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
    const uint32_t dwords[] = {a, b, c, d};
    return Bits::all(vreinterpretq_u8_u32(vld1q_u32(dwords)));
  }
  template <int a, int b, int c, int d>
  static Bits shuffle_dwords(Bits x) {
    return Bits::each(x, [](uint8x16_t q) {
      const uint32x4_t v = vreinterpretq_u32_u8(q);
      return vreinterpretq_u8_u32(__builtin_shufflevector(v, v, a, b, c, d));
    });
  }
  // A byte of the pattern past 15 gives zero.
  static Bits shuffle_bytes(Bits x, Bits pattern) { return Bits::each(x, pattern, vqtbl1q_u8); }
  static Bits subtract8(Bits a, Bits b) { return Bits::each(a, b, vsubq_u8); }

  // --- dwords ---
  static Bits add(Bits a, Bits b) { return dwords(a, b, vaddq_s32); }
  static Bits subtract(Bits a, Bits b) { return dwords(a, b, vsubq_s32); }
  static Bits multiply(Bits a, Bits b) { return dwords(a, b, vmulq_s32); }
  template <int n>
  static Bits shift_left32(Bits x) {
    return Bits::each(x, [](uint8x16_t q) { return vreinterpretq_u8_u32(vshlq_n_u32(vreinterpretq_u32_u8(q), n)); });
  }
  template <int n>
  static Bits shift_right32(Bits x) {
    return Bits::each(x, [](uint8x16_t q) { return vreinterpretq_u8_u32(vshrq_n_u32(vreinterpretq_u32_u8(q), n)); });
  }
  template <int byte>
  static Bits byte_signed(Bits x) {
    return Bits::each(shift_left32<24 - 8 * byte>(x),
                      [](uint8x16_t q) { return vreinterpretq_u8_s32(vshrq_n_s32(vreinterpretq_s32_u8(q), 24)); });
  }
  static Bits low_pair(Bits x) { return shuffle_bytes(x, pair_pattern(0)); }
  static Bits high_pair(Bits x) { return shuffle_bytes(x, pair_pattern(2)); }
  static Bits low_pair_signed(Bits x) { return pair_signed(low_pair(x)); }
  static Bits high_pair_signed(Bits x) { return pair_signed(high_pair(x)); }
  // Codes up to 127 are the same signed; wide ones are signed.
  template <bool kWide>
  static Bits dot(Bits acc, Bits codes, Bits x) {
    Bits out;
    for (int i = 0; i < 4; ++i)
      out.q[i] = vreinterpretq_u8_s32(
          vdotq_s32(vreinterpretq_s32_u8(acc.q[i]), vreinterpretq_s8_u8(codes.q[i]), vreinterpretq_s8_u8(x.q[i])));
    return out;
  }
  static Bits dot_words(Bits acc, Bits a, Bits b) {
    return add(acc, Bits::each(a, b, [](uint8x16_t x, uint8x16_t y) {
                 const int16x8_t p = vreinterpretq_s16_u8(x), r = vreinterpretq_s16_u8(y);
                 const int32x4_t low = vmull_s16(vget_low_s16(p), vget_low_s16(r)), high = vmull_high_s16(p, r);
                 return vreinterpretq_u8_s32(vpaddq_s32(low, high));
               }));
  }

#ifdef __ARM_FEATURE_MATMUL_INT8
  // --- two tokens at a time (linear_group.h) ---
  // Dword i of a and of b side by side: of rows 0, 1 of each quarter in a, of rows 2, 3 in b.
  static void interleave(Bits& a, Bits& b) {
    for (int i = 0; i < 4; ++i) {
      const uint32x4_t x = vreinterpretq_u32_u8(a.q[i]), y = vreinterpretq_u32_u8(b.q[i]);
      a.q[i] = vreinterpretq_u8_u32(vzip1q_u32(x, y));
      b.q[i] = vreinterpretq_u8_u32(vzip2q_u32(x, y));
    }
  }
  static Bits load_pair(const void* a, const void* b) {  // 8 bytes each, in all quarters
    return Bits::all(vcombine_u8(vld1_u8(static_cast<const uint8_t*>(a)), vld1_u8(static_cast<const uint8_t*>(b))));
  }
  // acc + the products of two rows of eight codes and two tokens, row by row.
  template <bool kWide>
  static Bits dot_pairs(Bits acc, Bits codes, Bits x) {
    Bits out;
    for (int i = 0; i < 4; ++i)
      out.q[i] = vreinterpretq_u8_s32(
          vmmlaq_s32(vreinterpretq_s32_u8(acc.q[i]), vreinterpretq_s8_u8(codes.q[i]), vreinterpretq_s8_u8(x.q[i])));
    return out;
  }
  // What dot_pairs made of interleaved codes, a and b, to the sums of the first token and of the second.
  static void separate(Bits& a, Bits& b) {
    for (int i = 0; i < 4; ++i) {
      const uint32x4_t x = vreinterpretq_u32_u8(a.q[i]), y = vreinterpretq_u32_u8(b.q[i]);
      a.q[i] = vreinterpretq_u8_u32(vuzp1q_u32(x, y));
      b.q[i] = vreinterpretq_u8_u32(vuzp2q_u32(x, y));
    }
  }
#endif

  // --- across vectors ---
  static void transpose_quarters(Bits (&x)[4]) {
    for (int i = 0; i < 4; ++i) transpose4(x[0].q[i], x[1].q[i], x[2].q[i], x[3].q[i]);
  }
  static Bits first_dwords(const Bits (&x)[4]) {
    Bits out;
    for (int i = 0; i < 4; ++i) {
      const uint32x4_t even = vzip1q_u32(vreinterpretq_u32_u8(x[0].q[i]), vreinterpretq_u32_u8(x[2].q[i]));
      const uint32x4_t odd = vzip1q_u32(vreinterpretq_u32_u8(x[1].q[i]), vreinterpretq_u32_u8(x[3].q[i]));
      out.q[i] = vreinterpretq_u8_u32(vzip1q_u32(even, odd));
    }
    return out;
  }
  static Bits quarter_sums(const Bits (&x)[4]) {
    Bits out;
    for (int i = 0; i < 4; ++i) out.q[i] = lane_sums(x[0].q[i], x[1].q[i], x[2].q[i], x[3].q[i]);
    return out;
  }

  // --- to and from floats ---
  static Floats as_floats(Bits x) {
    Floats out;
    for (int i = 0; i < 4; ++i) out.q[i] = vreinterpretq_f32_u8(x.q[i]);
    return out;
  }
  static Floats to_floats(Bits x) {
    Floats out;
    for (int i = 0; i < 4; ++i) out.q[i] = vcvtq_f32_s32(vreinterpretq_s32_u8(x.q[i]));
    return out;
  }
  static Floats f16_low(Bits x) {
    Floats out;
    for (int i = 0; i < 4; ++i) out.q[i] = vcvt_f32_f16(vreinterpret_f16_u16(vmovn_u32(vreinterpretq_u32_u8(x.q[i]))));
    return out;
  }
  static Floats f16_high(Bits x) { return f16_low(shift_right32<16>(x)); }
  static void store_int8(Floats x, int8_t* p) {
    const int16x8_t low = vcombine_s16(words_of(x.q[0]), words_of(x.q[1]));
    const int16x8_t high = vcombine_s16(words_of(x.q[2]), words_of(x.q[3]));
    vst1q_s8(p, vcombine_s8(vqmovn_s16(low), vqmovn_s16(high)));
  }
  static void store_words(Bits x, int16_t* p) {
    for (int i = 0; i < 4; ++i) vst1_s16(p + 4 * i, vmovn_s32(vreinterpretq_s32_u8(x.q[i])));
  }

  static Bits fetch(Bits x, const void* p) {
    asm volatile("prfm pldl1keep, [%1]" : "+w"(x.q[0]) : "r"(p));
    return x;
  }
  [[gnu::always_inline]] static void prefetch_to_write(const void* p) { __builtin_prefetch(p, 1); }

  static Bits keep(Bits x) {
    asm volatile("" : "+w"(x.q[0]), "+w"(x.q[1]), "+w"(x.q[2]), "+w"(x.q[3]));
    return x;
  }

 private:
  static uint8x16_t load16(const void* p, int offset) { return vld1q_u8(static_cast<const uint8_t*>(p) + offset); }
  // Bit `from` of each word moved to bit `to`.
  template <int from, int to>
  static uint8x16_t to_bit(uint8x16_t x) {
    if constexpr (from > to)
      return vreinterpretq_u8_u16(vshrq_n_u16(vreinterpretq_u16_u8(x), from - to));
    else
      return vreinterpretq_u8_u16(vshlq_n_u16(vreinterpretq_u16_u8(x), to - from));
  }
  template <typename Fn>
  static Bits dwords(Bits a, Bits b, Fn fn) {
    return Bits::each(a, b, [fn](uint8x16_t x, uint8x16_t y) {
      return vreinterpretq_u8_s32(fn(vreinterpretq_s32_u8(x), vreinterpretq_s32_u8(y)));
    });
  }
  static Bits pair_pattern(int first) {
    const uint32_t low = 0x80008000 + static_cast<uint32_t>(first + ((first + 1) << 16));
    return quarters(low, low + 0x00040004, low + 0x00080008, low + 0x000c000c);
  }
  static Bits pair_signed(Bits words) {
    return Bits::each(shift_left<8>(words),
                      [](uint8x16_t q) { return vreinterpretq_u8_s16(vshrq_n_s16(vreinterpretq_s16_u8(q), 8)); });
  }
  static void transpose4(uint8x16_t& a, uint8x16_t& b, uint8x16_t& c, uint8x16_t& d) {
    const auto u32 = [](uint8x16_t x) { return vreinterpretq_u32_u8(x); };
    const auto u64 = [](uint32x4_t x) { return vreinterpretq_u64_u32(x); };
    const uint64x2_t ab_low = u64(vzip1q_u32(u32(a), u32(b))), ab_high = u64(vzip2q_u32(u32(a), u32(b)));
    const uint64x2_t cd_low = u64(vzip1q_u32(u32(c), u32(d))), cd_high = u64(vzip2q_u32(u32(c), u32(d)));
    a = vreinterpretq_u8_u64(vzip1q_u64(ab_low, cd_low));
    b = vreinterpretq_u8_u64(vzip2q_u64(ab_low, cd_low));
    c = vreinterpretq_u8_u64(vzip1q_u64(ab_high, cd_high));
    d = vreinterpretq_u8_u64(vzip2q_u64(ab_high, cd_high));
  }
  // The sums of the four dwords of a, b, c, d.
  static uint8x16_t lane_sums(uint8x16_t a, uint8x16_t b, uint8x16_t c, uint8x16_t d) {
    const uint32x4_t ab = vpaddq_u32(vreinterpretq_u32_u8(a), vreinterpretq_u32_u8(b));
    const uint32x4_t cd = vpaddq_u32(vreinterpretq_u32_u8(c), vreinterpretq_u32_u8(d));
    return vreinterpretq_u8_u32(vpaddq_u32(ab, cd));
  }
  static int16x4_t words_of(float32x4_t x) { return vqmovn_s32(vcvtnq_s32_f32(x)); }
};

}  // namespace tessera::kernels::cpu::TESSERA_ISA
