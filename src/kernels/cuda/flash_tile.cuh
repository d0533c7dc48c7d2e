// What the kernels of attention share.
#pragma once

#include "kernels/cuda/division.cuh"
#include "kernels/cuda/words.cuh"

namespace tessera::kernels::cuda {

inline constexpr float kNoScore = -3.0e38f, kLog2OfE = 1.44269504f;

// Of the kernels on the tensor cores.
struct FlashArgs : AttentionArgs {
  explicit FlashArgs(const AttentionArgs& args)
      : AttentionArgs(args),
        group(divisor_of(n_heads / n_kv_heads)),
        pieces(divisor_of(n_splits)),
        slots(divisor_of(n_slots)) {}
  Divisor group, pieces, slots;  // heads of a KV head, n_splits, n_slots
};

// f.template operator()<size>() with the smallest size that has kernels and holds heads of head_dim values.
template <typename F>
int for_head_size(int head_dim, const F& f) {
  if (head_dim <= 64) return f.template operator()<64>();
  if (head_dim <= 128) return f.template operator()<128>();
  if (head_dim <= 256) return f.template operator()<256>();
  return f.template operator()<512>();
}

// Keys [begin, end) of one piece, and those any row of the tile may see.
struct KeyRange {
  int begin, end;
};
// Pieces are equal, and more than one only where each has kLeastKeys; the last ones are empty where the keys are few.
TESSERA_DEVICE KeyRange keys_of_piece(const AttentionArgs& a, int first_token, int last_token, int piece) {
  const int position = global<const int32_t>(a.position)[0];
  const int first = a.window > 0 ? max_of(0, position + first_token - a.window + 1) : 0;
  const int end = position + last_token + 1, n = end - first;
  const int size = a.n_splits == 1 ? n : max_of((n + a.n_splits - 1) / a.n_splits, kLeastKeys);
  const int begin = min_of(first + piece * size, end);
  return {begin, min_of(begin + size, end)};
}

// Products and pairs of a type of 16 bits.
template <bool kIsBf16>
struct SixteenBits {
  static constexpr bool kIsBfloat = kIsBf16;
  TESSERA_DEVICE static void multiply(float* d, const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    if constexpr (kIsBf16)
      mma_bf16(d, a, b0, b1);
    else
      mma_f16(d, a, b0, b1);
  }
  TESSERA_DEVICE static uint32_t pair(float low, float high) {
    return kIsBf16 ? bf16x2_of(low, high) : f16x2_of(low, high);
  }
};

}  // namespace tessera::kernels::cuda
