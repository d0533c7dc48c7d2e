// kernels/cuda/words.cuh in CUDA.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/cuda/api.h"

#define TESSERA_DEVICE __device__ __forceinline__
#define TESSERA_KERNEL(n_threads, n_blocks) static __global__ void __launch_bounds__(n_threads, n_blocks)
#define TESSERA_UNROLL _Pragma("unroll")
#define TESSERA_LOOP _Pragma("unroll 1")

namespace tessera::kernels::cuda {

template <typename T>
using Global = T*;
template <typename T>
using Shared = T*;

// Through the intrinsic the compiler knows the address space: LDG and STG, not their generic forms.
template <typename T>
TESSERA_DEVICE T* global(Address address) {
  return static_cast<T*>(__cvta_global_to_generic(address));
}
template <typename T, typename U>
TESSERA_DEVICE T* cast(U* p) {
  return reinterpret_cast<T*>(p);
}
template <typename T>
TESSERA_DEVICE uint32_t misalignment(T* p, uint32_t of) {
  return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(p)) % of;
}

TESSERA_DEVICE Shared<uint8_t> shared_memory() {
  extern __shared__ __align__(128) uint8_t tessera_shared[];
  return tessera_shared;
}

TESSERA_DEVICE int thread() { return static_cast<int>(threadIdx.x); }
TESSERA_DEVICE int lane() { return static_cast<int>(threadIdx.x % 32); }
TESSERA_DEVICE int warp() { return static_cast<int>(threadIdx.x / 32); }
TESSERA_DEVICE int block_x() { return static_cast<int>(blockIdx.x); }
TESSERA_DEVICE int block_y() { return static_cast<int>(blockIdx.y); }
TESSERA_DEVICE int block_z() { return static_cast<int>(blockIdx.z); }
TESSERA_DEVICE int n_blocks_x() { return static_cast<int>(gridDim.x); }
TESSERA_DEVICE int n_blocks_y() { return static_cast<int>(gridDim.y); }

TESSERA_DEVICE void sync_block() { __syncthreads(); }
TESSERA_DEVICE void sync_warp() { __syncwarp(); }
template <typename T>
TESSERA_DEVICE T shuffle_xor(T value, int mask) {
  return __shfl_xor_sync(0xffffffffu, value, mask);
}
template <typename T>
TESSERA_DEVICE T shuffle(T value, int from) {
  return __shfl_sync(0xffffffffu, value, from);
}
template <typename T>
TESSERA_DEVICE T once(T value) {
  if constexpr (sizeof(T) == 8)
    asm volatile("" : "+l"(value));
  else
    asm volatile("" : "+r"(value));
  return value;
}
TESSERA_DEVICE uint32_t opaque(uint32_t value) {
  asm("" : "+r"(value));
  return value;
}
TESSERA_DEVICE uint32_t lanes_where(bool value) { return __ballot_sync(0xffffffffu, value); }
TESSERA_DEVICE int lowest_bit(uint32_t word) { return __ffs(static_cast<int>(word)) - 1; }
TESSERA_DEVICE bool any_of_warp(bool value) { return __any_sync(0xffffffffu, value) != 0; }

TESSERA_DEVICE void copy_async16(Shared<uint8_t> to, Global<const uint8_t> from) {
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(to));
  asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16;" ::"r"(address), "l"(from) : "memory");
}
TESSERA_DEVICE void copy_async16_or_zeros(Shared<uint8_t> to, Global<const uint8_t> from, bool is_there) {
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(to));
  asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(address), "l"(from),
               "r"(is_there ? 16 : 0)
               : "memory");
}
TESSERA_DEVICE void copy_async16_or_zeros(Shared<uint8_t> to, Address from, bool is_there) {
  copy_async16_or_zeros(to, global<const uint8_t>(from), is_there);
}
TESSERA_DEVICE void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int kGroupsLeft>
TESSERA_DEVICE void wait_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kGroupsLeft) : "memory");
}

// Each returns what was there.
TESSERA_DEVICE uint32_t atomic_add(uint32_t* p, uint32_t value) { return atomicAdd(p, value); }
TESSERA_DEVICE uint64_t atomic_add(uint64_t* p, uint64_t value) {
  static_assert(sizeof(unsigned long long) == sizeof(uint64_t));
  return atomicAdd(reinterpret_cast<unsigned long long*>(p), static_cast<unsigned long long>(value));
}
TESSERA_DEVICE uint32_t atomic_min(uint32_t* p, uint32_t value) { return atomicMin(p, value); }
TESSERA_DEVICE uint32_t atomic_or(uint32_t* p, uint32_t value) { return atomicOr(p, value); }
TESSERA_DEVICE void fence() { __threadfence(); }

TESSERA_DEVICE uint32_t load_past_caches(const uint32_t* p) {
  uint32_t value;
  asm volatile("ld.relaxed.gpu.global.u32 %0, [%1];" : "=r"(value) : "l"(p) : "memory");
  return value;
}
TESSERA_DEVICE int32_t load_past_caches(const int32_t* p) {
  return static_cast<int32_t>(load_past_caches(cast<const uint32_t>(p)));
}
TESSERA_DEVICE void load_past_caches(const uint32_t* p, uint32_t (&words)[4]) {
  asm volatile("ld.relaxed.gpu.global.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
               : "l"(p)
               : "memory");
}
TESSERA_DEVICE void leave_word(uint32_t* p, uint32_t word) {
  asm volatile("st.relaxed.gpu.global.u32 [%0], %1;" ::"l"(p), "r"(word) : "memory");
}
TESSERA_DEVICE void leave_words(uint32_t* p, const uint32_t (&words)[4]) {
  asm volatile("st.relaxed.gpu.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(p), "r"(words[0]), "r"(words[1]),
               "r"(words[2]), "r"(words[3])
               : "memory");
}
TESSERA_DEVICE void look_again() {}

TESSERA_DEVICE void wait_for_previous() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
TESSERA_DEVICE void let_next_start() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

TESSERA_DEVICE int32_t dot4(uint32_t a, uint32_t b, int32_t c) {
  return __dp4a(static_cast<int32_t>(a), static_cast<int32_t>(b), c);
}
TESSERA_DEVICE int32_t dot4_unsigned(uint32_t a, uint32_t b, int32_t c) {
  int32_t out;
  asm("dp4a.u32.s32 %0, %1, %2, %3;" : "=r"(out) : "r"(a), "r"(b), "r"(c));
  return out;
}
TESSERA_DEVICE int32_t dot2(uint32_t a, uint32_t b) {
  int32_t out;
  asm("dp2a.lo.s32.u32 %0, %1, %2, %3;" : "=r"(out) : "r"(a), "r"(b), "r"(0));
  return out;
}
// Bytes [shift / 8, shift / 8 + 4) of the eight in low, high.
TESSERA_DEVICE uint32_t funnel_right(uint32_t low, uint32_t high, uint32_t shift) {
  return __funnelshift_r(low, high, shift);
}

// Bits of `a` where those of `where` are set, of `b` elsewhere: one instruction, which nvcc makes two of.
TESSERA_DEVICE uint32_t choose_bits(uint32_t where, uint32_t a, uint32_t b) {
  uint32_t out;
  asm("lop3.b32 %0, %1, %2, %3, 0xca;" : "=r"(out) : "r"(where), "r"(a), "r"(b));
  return out;
}

// Byte i of the result is byte (selector >> 4 i) % 8 of the eight in low, high.
TESSERA_DEVICE uint32_t permute_bytes(uint32_t low, uint32_t high, uint32_t selector) {
  return __byte_perm(low, high, selector);
}
TESSERA_DEVICE int32_t signed_byte(uint32_t word, int i) {
  int32_t out;  // a selector of 8 and more repeats the byte's sign: one instruction instead of two shifts
  asm("prmt.b32 %0, %1, 0, %2;" : "=r"(out) : "r"(word), "r"(0x8880 + 0x1111 * i));
  return out;
}

TESSERA_DEVICE float float_of_f16(uint16_t bits) { return __half2float(__ushort_as_half(bits)); }
TESSERA_DEVICE float float_of_bf16(uint16_t bits) { return __uint_as_float(static_cast<uint32_t>(bits) << 16); }
TESSERA_DEVICE uint16_t f16_of(float value) { return __half_as_ushort(__float2half_rn(value)); }
TESSERA_DEVICE uint16_t bf16_of(float value) { return __bfloat16_as_ushort(__float2bfloat16_rn(value)); }
TESSERA_DEVICE uint32_t bf16x2_of(float low, float high) {
  uint32_t out;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(out) : "f"(high), "f"(low));
  return out;
}
// Pairs of f16 in a word.
TESSERA_DEVICE uint32_t f16x2_of(float low, float high) {
  uint32_t out;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(out) : "f"(high), "f"(low));
  return out;
}
TESSERA_DEVICE uint32_t add_f16x2(uint32_t a, uint32_t b) {
  uint32_t out;
  asm("add.rn.f16x2 %0, %1, %2;" : "=r"(out) : "r"(a), "r"(b));
  return out;
}
TESSERA_DEVICE uint32_t mul_f16x2(uint32_t a, uint32_t b) {
  uint32_t out;
  asm("mul.rn.f16x2 %0, %1, %2;" : "=r"(out) : "r"(a), "r"(b));
  return out;
}
TESSERA_DEVICE uint32_t fma_f16x2(uint32_t a, uint32_t b, uint32_t c) {
  uint32_t out;
  asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(out) : "r"(a), "r"(b), "r"(c));
  return out;
}
TESSERA_DEVICE float float_of_bits(uint32_t bits) { return __uint_as_float(bits); }
TESSERA_DEVICE uint32_t bits_of_float(float value) { return __float_as_uint(value); }

TESSERA_DEVICE float max_of(float a, float b) { return fmaxf(a, b); }
TESSERA_DEVICE float min_of(float a, float b) { return fminf(a, b); }
TESSERA_DEVICE int min_of(int a, int b) { return min(a, b); }
TESSERA_DEVICE int max_of(int a, int b) { return max(a, b); }
TESSERA_DEVICE float abs_of(float value) { return fabsf(value); }
TESSERA_DEVICE float exp_of(float value) { return __expf(value); }
TESSERA_DEVICE float exp2_of(float value) {
  float out;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(out) : "f"(value));
  return out;
}
TESSERA_DEVICE float exact_exp_of(float value) { return expf(value); }
// For divisors up to 2^126, and infinity; 0 for those between.
TESSERA_DEVICE float quotient_of(float a, float b) { return __fdividef(a, b); }
TESSERA_DEVICE float tanh_of(float value) { return tanhf(value); }
TESSERA_DEVICE float inverse_sqrt(float value) { return rsqrtf(value); }
TESSERA_DEVICE void sine_cosine(double angle, double& sine, double& cosine) { sincos(angle, &sine, &cosine); }

// Four 8 x 8 matrices of 16-bit elements; lanes 8i .. 8i + 7 name the rows of matrix i.
TESSERA_DEVICE void load_matrices(uint32_t (&out)[4], Shared<const uint8_t> row) {
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(address)
               : "memory");
}
TESSERA_DEVICE void load_matrices_transposed(uint32_t (&out)[4], Shared<const uint8_t> row) {
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(address)
               : "memory");
}
TESSERA_DEVICE uint32_t transpose_matrix(uint32_t word) {
  uint32_t out;
  asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(out) : "r"(word));
  return out;
}
// d += a b: a 16 x 16 by rows, b 16 x 8 by columns, fragments as PTX's mma.m16n8k16 has them.
#define TESSERA_MMA_16(type)                                                          \
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32." type "." type                 \
               ".f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};" \
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                       \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1))
TESSERA_DEVICE void mma_f16(float* d, const uint32_t (&a)[4], uint32_t b0, uint32_t b1) { TESSERA_MMA_16("f16"); }
TESSERA_DEVICE void mma_bf16(float* d, const uint32_t (&a)[4], uint32_t b0, uint32_t b1) { TESSERA_MMA_16("bf16"); }
#undef TESSERA_MMA_16
// d += a b of signed bytes: a 16 x 32 (x 16) by rows, b 32 (16) x 8 by columns, fragments as PTX's mma.m16n8k32 and
// m16n8k16 have them.
TESSERA_DEVICE void mma_int8_32(int32_t (&d)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t b0,
                                uint32_t b1) {
  asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}
// The same with a of unsigned bytes.
TESSERA_DEVICE void mma_unsigned_32(int32_t (&d)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t b0,
                                    uint32_t b1) {
  asm("mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}
TESSERA_DEVICE void mma_int8_16(int32_t (&d)[4], uint32_t a0, uint32_t a1, uint32_t b) {
  asm("mma.sync.aligned.m16n8k16.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
      : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
      : "r"(a0), "r"(a1), "r"(b));
}

}  // namespace tessera::kernels::cuda
