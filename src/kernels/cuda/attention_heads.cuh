// What comes before attention: the table of the rotation, and the norms and rotation of the heads with the write of the
// caches, as a launch of its own (flash_decode.cuh does that itself). References: runtime/steps/attention_step.cpp.
#pragma once

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/words.cuh"

namespace tessera::kernels::cuda {

inline constexpr int kMaxHeadDim = 512, kMaxPerLane = kMaxHeadDim / kWarp;

// Angles in f64: at position 262143 an f32 angle would be off by up to 0.008.
TESSERA_KERNEL(kWarp, 1) rope_table_kernel(RopeTableArgs a) {
  let_next_start();
  wait_for_previous();
  const int i = block_x() * kWarp + lane(), token = block_y();
  if (i >= a.half) return;
  const double position = global<const int32_t>(a.position)[0] + token;
  double sine, cosine;
  sine_cosine(position / global<const double>(a.periods)[i], sine, cosine);
  global<float>(a.cos)[token * a.half + i] = static_cast<float>(cosine);
  global<float>(a.sin)[token * a.half + i] = static_cast<float>(sine);
}

// One head of one token by a warp; lane l holds elements l, l + 32, ... of each half, so that a rotated pair is in one
// lane.
struct Head {
  float low[kMaxPerLane / 2], high[kMaxPerLane / 2];
};
TESSERA_DEVICE void load_head(const AttentionArgs& a, Address from, int64_t at, Head& head) {
  const int half = a.head_dim / 2;
  float squares = 0;
  TESSERA_UNROLL
  for (int j = 0; j < kMaxPerLane / 2; ++j) {
    const int i = lane() + j * kWarp;
    const bool is_inside = i < half;
    head.low[j] = is_inside ? load_float(from, a.element, at + i) : 0.0f;
    head.high[j] = is_inside ? load_float(from, a.element, at + half + i) : 0.0f;
    squares += head.low[j] * head.low[j] + head.high[j] * head.high[j];
  }
  const float factor = inverse_sqrt(warp_sum(squares) / static_cast<float>(a.head_dim) + a.eps);
  TESSERA_UNROLL
  for (int j = 0; j < kMaxPerLane / 2; ++j) head.low[j] *= factor, head.high[j] *= factor;
}
// Weight of the norm, then the rotation of pairs (i, i + half).
TESSERA_DEVICE void weigh_and_rotate(const AttentionArgs& a, Address weight, int token, Head& head) {
  const int half = a.head_dim / 2;
  TESSERA_UNROLL
  for (int j = 0; j < kMaxPerLane / 2; ++j) {
    const int i = lane() + j * kWarp;
    if (i >= half) continue;
    const float x = head.low[j] * global<const float>(weight)[i];
    const float y = head.high[j] * global<const float>(weight)[half + i];
    const float cos = global<const float>(a.cos)[token * half + i], sin = global<const float>(a.sin)[token * half + i];
    head.low[j] = x * cos - y * sin;
    head.high[j] = x * sin + y * cos;
  }
}
TESSERA_DEVICE void store_head(const Head& head, int head_dim, Address to, Element element, int64_t at) {
  const int half = head_dim / 2;
  TESSERA_UNROLL
  for (int j = 0; j < kMaxPerLane / 2; ++j) {
    const int i = lane() + j * kWarp;
    if (i >= half) continue;
    store_float(to, element, at + i, head.low[j]);
    store_float(to, element, at + half + i, head.high[j]);
  }
}

// block_x: a head of q, then of k, then of v; block_y: token. Queries are f32 (m, n_heads, head_dim), or, for
// flash_prefill.cuh, of the caches' type with those of a KV head together: (n_kv_heads, m, heads of the group,
// head_dim).
template <bool kByKvHeads>
TESSERA_KERNEL(kWarp, 1)
attention_input_kernel(AttentionArgs a) {
  let_next_start();
  wait_for_previous();
  const int token = block_y(), index = block_x();
  Head head;
  if (index < a.n_heads) {
    const int64_t at = (int64_t{token} * a.n_heads + index) * a.head_dim;
    load_head(a, a.q, at, head);
    weigh_and_rotate(a, a.q_norm, token, head);
    if constexpr (kByKvHeads) {
      const int group = a.n_heads / a.n_kv_heads, of_group = index / group * group;
      store_head(head, a.head_dim, a.queries, a.kv_element,
                 (int64_t{of_group} * a.m + token * group + index - of_group) * a.head_dim);
    } else {
      store_head(head, a.head_dim, a.queries, Element::kF32, at);
    }
    return;
  }
  const bool is_key = index < a.n_heads + a.n_kv_heads;
  const int kv_head = (index - a.n_heads) % a.n_kv_heads;
  load_head(a, is_key ? a.k : a.v, (int64_t{token} * a.n_kv_heads + kv_head) * a.head_dim, head);
  if (is_key) weigh_and_rotate(a, a.k_norm, token, head);
  const int slot = (global<const int32_t>(a.position)[0] + token) % a.n_slots;
  store_head(head, a.head_dim, is_key ? a.k_cache : a.v_cache, a.kv_element,
             (int64_t{kv_head} * a.n_slots + slot) * a.head_dim);
}

inline int rope_table(Device& device, const RopeTableArgs& args, Failure* failure) {
  Launch shape;
  shape.blocks = {pieces_of(args.half, kWarp), args.m, 1};
  return launch(device, shape, rope_table_kernel, args, failure);
}

template <bool kByKvHeads>
int attention_input(Device& device, const AttentionArgs& args, Failure* failure) {
  Launch shape;
  shape.blocks = {args.n_heads + (args.k != 0 ? 2 * args.n_kv_heads : 0), args.m, 1};
  return launch(device, shape, attention_input_kernel<kByKvHeads>, args, failure);
}

}  // namespace tessera::kernels::cuda
