// Four floats in a NEON register: a quarter of an F32x16, with the words that kernels use on registers.
#pragma once

#include <arm_neon.h>

#include <cstdint>

#ifndef TESSERA_ISA
#define TESSERA_ISA neon
#endif

namespace tessera::kernels::cpu::TESSERA_ISA {

struct F32x4 {
  float32x4_t q;

  static constexpr int kLanes = 4;

  static F32x4 zero() { return set(0); }
  static F32x4 set(float x) { return {vdupq_n_f32(x)}; }
  static F32x4 load(const float* p) { return {vld1q_f32(p)}; }
  static F32x4 load_f16(const uint16_t* p) { return {vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)))}; }
  static F32x4 load_bf16(const uint16_t* p) { return {vreinterpretq_f32_u32(vshlq_n_u32(vmovl_u16(vld1_u16(p)), 16))}; }
  void fetch(const void* p) { asm volatile("prfm pldl1keep, [%1]" : "+w"(q) : "r"(p)); }
  static F32x4 keep(F32x4 x) {
    asm volatile("" : "+w"(x.q));
    return x;
  }
  void store(float* p) const { vst1q_f32(p, q); }

  friend F32x4 operator*(F32x4 a, F32x4 b) { return {vmulq_f32(a.q, b.q)}; }
  static F32x4 fma(F32x4 a, F32x4 b, F32x4 c) { return {vfmaq_f32(c.q, a.q, b.q)}; }
};

}  // namespace tessera::kernels::cpu::TESSERA_ISA
