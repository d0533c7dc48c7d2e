// Sixteen floats in four NEON registers; see avx512/f32x16.h for the words and their contract. Compiled for two
// instruction sets, each with a namespace of its own.
#pragma once

#include "kernels/cpu/neon/f32x4.h"

namespace tessera::kernels::cpu::TESSERA_ISA {

struct F32x16 {
  float32x4_t q[4];

  static constexpr int kLanes = 16;
  using Register = F32x4;
  static constexpr int kAccumulators = 24;

  static F32x16 zero() { return set(0); }
  static F32x16 set(float x) {
    const float32x4_t v = vdupq_n_f32(x);
    return {{v, v, v, v}};
  }
  static F32x16 load(const float* p) { return {{vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)}}; }
  static F32x16 load_f16(const uint16_t* p) {
    return {{F32x4::load_f16(p).q, F32x4::load_f16(p + 4).q, F32x4::load_f16(p + 8).q, F32x4::load_f16(p + 12).q}};
  }
  static F32x16 load_bf16(const uint16_t* p) {
    return {{F32x4::load_bf16(p).q, F32x4::load_bf16(p + 4).q, F32x4::load_bf16(p + 8).q, F32x4::load_bf16(p + 12).q}};
  }
  void fetch(const void* p) { asm volatile("prfm pldl1keep, [%1]" : "+w"(q[0]) : "r"(p)); }
  static F32x16 keep(F32x16 x) {
    asm volatile("" : "+w"(x.q[0]), "+w"(x.q[1]), "+w"(x.q[2]), "+w"(x.q[3]));
    return x;
  }
  void store(float* p) const {
    for (int i = 0; i < 4; ++i) vst1q_f32(p + 4 * i, q[i]);
  }
  void store_f16(uint16_t* p) const {
    for (int i = 0; i < 4; ++i) vst1_u16(p + 4 * i, vreinterpret_u16_f16(vcvt_f16_f32(q[i])));
  }
  void store_bf16(uint16_t* p) const {
    for (int i = 0; i < 4; ++i) vst1_u16(p + 4 * i, narrow_bf16(q[i]));
  }

  friend F32x16 operator+(F32x16 a, F32x16 b) { return each(a, b, vaddq_f32); }
  friend F32x16 operator-(F32x16 a, F32x16 b) { return each(a, b, vsubq_f32); }
  friend F32x16 operator*(F32x16 a, F32x16 b) { return each(a, b, vmulq_f32); }
  friend F32x16 operator/(F32x16 a, F32x16 b) { return each(a, b, vdivq_f32); }
  static F32x16 fma(F32x16 a, F32x16 b, F32x16 c) {
    F32x16 out;
    for (int i = 0; i < 4; ++i) out.q[i] = vfmaq_f32(c.q[i], a.q[i], b.q[i]);
    return out;
  }
  // By comparison: NEON's own max and min give NaN where one operand is NaN.
  static F32x16 max(F32x16 a, F32x16 b) { return each(a, b, max4); }
  static F32x16 min(F32x16 a, F32x16 b) {
    return each(a, b, [](float32x4_t x, float32x4_t y) { return vbslq_f32(vcltq_f32(x, y), x, y); });
  }
  F32x16 abs() const { return {{vabsq_f32(q[0]), vabsq_f32(q[1]), vabsq_f32(q[2]), vabsq_f32(q[3])}}; }
  static F32x16 select_less(F32x16 a, F32x16 b, F32x16 yes, F32x16 no) {
    F32x16 out;
    for (int i = 0; i < 4; ++i) out.q[i] = vbslq_f32(vcltq_f32(a.q[i], b.q[i]), yes.q[i], no.q[i]);
    return out;
  }
  F32x16 round() const { return {{vrndnq_f32(q[0]), vrndnq_f32(q[1]), vrndnq_f32(q[2]), vrndnq_f32(q[3])}}; }
  static F32x16 exp2_integral(F32x16 n) {
    F32x16 out;
    for (int i = 0; i < 4; ++i)
      out.q[i] = vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtnq_s32_f32(n.q[i]), vdupq_n_s32(127)), 23));
    return out;
  }

  static F32x16 look_up_nibbles(F32x16 table, const uint8_t* p) {
    float levels[16], lanes[16];
    table.store(levels);
    for (int i = 0; i < 8; ++i) {
      lanes[2 * i] = levels[p[i] >> 4];
      lanes[2 * i + 1] = levels[p[i] & 15];
    }
    return load(lanes);
  }

  float sum() const {
    const float32x4_t four = vaddq_f32(vaddq_f32(q[0], q[2]), vaddq_f32(q[1], q[3]));
    const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
  }
  float max_lane() const {
    const float32x4_t four = max4(max4(q[0], q[2]), max4(q[1], q[3]));
    const float a = vgetq_lane_f32(four, 0), b = vgetq_lane_f32(four, 1);
    const float c = vgetq_lane_f32(four, 2), d = vgetq_lane_f32(four, 3);
    const float ac = a > c ? a : c, bd = b > d ? b : d;
    return ac > bd ? ac : bd;
  }
  static F32x16 sums(const F32x16 (&rows)[16]) {
    F32x16 out;
    for (int i = 0; i < 4; ++i) {
      float32x4_t x[4];  // rows 4 i .. 4 i + 3 after + 8 and + 4
      for (int r = 0; r < 4; ++r) {
        const float32x4_t(&row)[4] = rows[4 * i + r].q;
        x[r] = vaddq_f32(vaddq_f32(row[0], row[2]), vaddq_f32(row[1], row[3]));
      }
      const auto two = [](float32x4_t a, float32x4_t b) {  // + 2: a0 + a2, a1 + a3, b0 + b2, b1 + b3
        return vaddq_f32(vcombine_f32(vget_low_f32(a), vget_low_f32(b)),
                         vcombine_f32(vget_high_f32(a), vget_high_f32(b)));
      };
      out.q[i] = vpaddq_f32(two(x[0], x[1]), two(x[2], x[3]));  // + 1
    }
    return out;
  }

 private:
  template <typename Fn>
  static F32x16 each(F32x16 a, F32x16 b, Fn fn) {
    return {{fn(a.q[0], b.q[0]), fn(a.q[1], b.q[1]), fn(a.q[2], b.q[2]), fn(a.q[3], b.q[3])}};
  }
  static float32x4_t max4(float32x4_t a, float32x4_t b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
  static uint16x4_t narrow_bf16(float32x4_t x) {
    const uint32x4_t bits = vreinterpretq_u32_f32(x);
    const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    const uint32x4_t rounded = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
    const uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(0x400000));
    return vshrn_n_u32(vbslq_u32(vceqq_f32(x, x), rounded, quiet), 16);
  }
};

}  // namespace tessera::kernels::cpu::TESSERA_ISA
