// The words kernels are written in: small functions over a thread, its warp and its block. nvcc finds them here as CUDA
// (words_device.cuh), g++ as the emulator's (emulator/words.h), where pointers know their bounds and barriers are
// watched. Kernels use nothing of CUDA besides, so the text that is tested is the text that ships.
//
//   Global<T>, Shared<T>    pointers; global<T>(address) makes one of an Address, cast<T>(p) changes the type
//   lane() warp() thread()  where this thread is; block_x() ... block_z(), n_blocks_x() ...
//   once                    a value that is worked out here and kept: else nvcc, which takes an instruction or three
//                           for cheaper than a register, may do it again wherever it is used
//   choose_bits             (where, a, b) bits of a where those of `where` are set, of b elsewhere
//   opaque                  a value as it is, of which nvcc knows nothing: else it merges masks, one for each use,
//                           where one of several uses is meant
//   sync_block sync_warp    barriers; shuffle_xor, shuffle: values between lanes; any_of_warp: true if any lane's is
//   lanes_where             a bit for each lane whose value is true; lowest_bit of a word that is not 0
//   Barrier                 one of its own in shared memory; init(n), by one thread: n arrivals complete a phase
//     arrive                whoever waits for the phase may read what the thread wrote before, or write what it read
//     arrive_after_copies   the same, when the thread's asynchronous copies have come
//     wait(use)             until the (use + 1)-th phase is complete
//     copy, copy_for_once   (to, from, bytes), multiples of 16, by the bulk copy engine, where there is one; of bytes
//                           that nobody reads again: in the L2 they make way for what is. Addresses that are equal
//                           modulo 128 are what it is quickest with
//     expect, announce      (bytes) the phase waits for so many; and one has arrived
//     fence_init            after init, before copies; fence_writes: before copies over what threads wrote
//   store_for_others        a value in shared memory that others read when a Barrier says so
//   copy_async16            16 bytes of global memory on their way to shared memory; there after wait_copies
//   copy_async16_or_zeros   the same where `is_there`; else zeros, and nothing is read
//   TESSERA_UNROLL, _LOOP   in front of a loop: unrolled, or not, as code that runs once is fetched for every launch
//   dot4                    c + four products of signed bytes; dot4_unsigned: the first's are unsigned
//   dot2                    two products of a's signed halves with b's two lowest bytes, unsigned
//   load_matrices; mma_f16, mma_bf16   the tensor cores' 16 x 8 x 16 product with f32 sums
//   mma_int8_32, _16        their 16 x 8 x 32 (16) product of signed bytes, added; mma_unsigned_32: the first's are
//                           unsigned
//   transpose_matrix        an 8 x 8 matrix of 16-bit elements, a word a lane as mma has its sums, turned over
//   multiply_tile           a warpgroup's product with a tile in shared memory (warpgroup.cuh)
//   atomic_add, _min, _or   on words of shared or global memory; fence: writes before it are seen before those after it
//   load_past_caches        from where all multiprocessors see the same: for what an earlier launch wrote, before
//                           wait_for_previous, and for words that others leave; one, or four at a multiple of 16
//   leave_word              a word for another block of the launch, which loads it past the caches until it has
//                           changed; nothing else that the block wrote is seen with it. Only what blocks before this
//                           one leave may be waited for, as those after it may not run yet. leave_words: four of them,
//                           at a multiple of 16, each seen by itself. look_again: between two looks
//   let_next_start          the next launch may begin: it prefetches, and waits for this one to finish
//   wait_for_previous       the launch before this one has finished and its writes are seen. Every thread of every
//                           kernel comes here, or is sure that another block does, so that what finishes after a
//                           launch finishes after all before it.
//                           A kernel that comes here before it lets the next one start gives that one more: all but
//                           this launch has ended when the next begins, not only when the next has waited
#pragma once

#ifdef __CUDACC__
#include "kernels/cuda/barrier_device.cuh"
#else
#include "kernels/cuda/emulator/barrier.h"
#endif

namespace tessera::kernels::cuda {

inline constexpr int kWarp = 32;

struct alignas(16) Words4 {
  uint32_t word[4];
};
struct alignas(8) Words2 {
  uint32_t word[2];
};

// The integer nearest to x (of two the even one), whose magnitude is at most 2^22, in the low 23 bits.
TESSERA_DEVICE uint32_t integer_bits(float x) { return bits_of_float(x + 0x1.8p23f); }

// Two f16 of an integer of up to 11 bits.
constexpr uint32_t f16x2(int value) {
  uint32_t rest = static_cast<uint32_t>(value < 0 ? -value : value), exponent = 15 + 10;
  if (rest == 0) return 0;
  for (; rest < 1024; rest *= 2) --exponent;
  const uint32_t bits = (value < 0 ? 0x8000u : 0u) | exponent << 10 | (rest - 1024);
  return bits | bits << 16;
}
static_assert(f16x2(1) == 0x3c003c00u && f16x2(-1024) == 0xe400e400u && f16x2(16) == 0x4c004c00u);

template <typename P>
TESSERA_DEVICE Words4 load_words4(P p) {
  return *cast<const Words4>(p);
}

// True in every thread of the block that comes to `counter` as the last of n_blocks: it sees what all others have
// written. `counter` is 0 before and after; `flag` is a word of shared memory.
TESSERA_DEVICE bool is_last_of(Global<uint32_t> counter, int n_blocks, Shared<uint32_t> flag) {
  sync_block();
  if (thread() == 0) {
    fence();
    flag[0] = atomic_add(counter, 1) == static_cast<uint32_t>(n_blocks - 1) ? 1 : 0;
  }
  sync_block();
  const bool is_last = flag[0] != 0;
  if (!is_last) return false;
  fence();
  if (thread() == 0) counter[0] = 0;
  return true;
}

// The sum over the warp, in every lane.
TESSERA_DEVICE float warp_sum(float value) {
  for (int step = kWarp / 2; step > 0; step /= 2) value += shuffle_xor(value, step);
  return value;
}
TESSERA_DEVICE float warp_max(float value) {
  for (int step = kWarp / 2; step > 0; step /= 2) value = max_of(value, shuffle_xor(value, step));
  return value;
}

// The sum and the largest over a block of n_warps warps, in every thread; `scratch` has room for the warps' own.
TESSERA_DEVICE float block_sum(float value, int n_warps, Shared<float> scratch) {
  value = warp_sum(value);
  if (lane() == 0) scratch[warp()] = value;
  sync_block();
  float total = 0;
  for (int i = 0; i < n_warps; ++i) total += scratch[i];
  sync_block();  // scratch may be used again
  return total;
}
TESSERA_DEVICE float block_max(float value, int n_warps, Shared<float> scratch) {
  value = warp_max(value);
  if (lane() == 0) scratch[warp()] = value;
  sync_block();
  for (int i = 0; i < n_warps; ++i) value = max_of(value, scratch[i]);
  sync_block();
  return value;
}

// Floats of a type known at run time, `half` one of 16 bits. Uniform branches: every thread of a launch takes the same.
TESSERA_DEVICE float float_of_half(uint16_t bits, Element type) {
  return type == Element::kF16 ? float_of_f16(bits) : float_of_bf16(bits);
}
TESSERA_DEVICE uint16_t half_of(float value, Element type) {
  return type == Element::kF16 ? f16_of(value) : bf16_of(value);
}
TESSERA_DEVICE uint32_t halves_of(float low, float high, Element type) {
  return type == Element::kF16 ? f16x2_of(low, high) : bf16x2_of(low, high);
}
TESSERA_DEVICE Words4 words_of(float a, float b, float c, float d) {
  return Words4{{bits_of_float(a), bits_of_float(b), bits_of_float(c), bits_of_float(d)}};
}
TESSERA_DEVICE float load_float(Address data, Element type, int64_t i) {
  if (type == Element::kF32) return global<const float>(data)[i];
  return float_of_half(global<const uint16_t>(data)[i], type);
}
// As a slot of this type keeps it.
TESSERA_DEVICE float rounded(float value, Element type) {
  return type == Element::kF32 ? value : float_of_half(half_of(value, type), type);
}
TESSERA_DEVICE void store_float(Address data, Element type, int64_t i, float value) {
  if (type == Element::kF32)
    global<float>(data)[i] = value;
  else
    global<uint16_t>(data)[i] = half_of(value, type);
}

// 0.5 x (1 + tanh(u)) = x / (1 + exp(-2 u)), of which nothing cancels: two fast instructions keep f32's accuracy. For u
// far below 0 the divisor is infinite.
TESSERA_DEVICE float gelu_tanh(float x) {
  constexpr float kSqrt2OverPi = 0.7978845608028654f;
  return quotient_of(x, 1.0f + exp_of(-2 * kSqrt2OverPi * (x + 0.044715f * x * x * x)));
}

}  // namespace tessera::kernels::cuda
