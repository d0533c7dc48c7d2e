// Softmax attention in f32 throughout, over caches of any type. Reference: kernels/cpu/attention.h.
//
// attention_kernel: a block per (piece of the keys, KV head, token) reads its keys and values once for all heads of the
// group (flash decoding); combine_kernel joins the pieces. Bytes moved: the visible keys and values once per token.
#pragma once

#include "kernels/cuda/flash_tile.cuh"
#include "kernels/cuda/launch.cuh"

namespace tessera::kernels::cuda {

inline constexpr int kAttentionWarps = 4, kAttentionThreads = kAttentionWarps * kWarp;

// What one warp knows of its keys: for each head of the group the largest score, the sum of exponentials, and the
// weighted sum of values, of which a lane holds elements lane, lane + 32, ...
template <int kPerLane, int kGroup>
struct Softmax {
  float largest[kGroup], total[kGroup], sum[kGroup][kPerLane];
};

template <int kPerLane, int kGroup>
TESSERA_DEVICE void attend_key(const AttentionArgs& a, int kv_head, int key, const float (&q)[kGroup][kPerLane],
                               Softmax<kPerLane, kGroup>& state) {
  const int64_t at = (int64_t{kv_head} * a.n_slots + key % a.n_slots) * a.head_dim;
  float k[kPerLane], v[kPerLane];
  TESSERA_UNROLL
  for (int j = 0; j < kPerLane; ++j) {
    const int i = lane() + j * kWarp;
    k[j] = i < a.head_dim ? load_float(a.k_cache, a.kv_element, at + i) : 0.0f;
    v[j] = i < a.head_dim ? load_float(a.v_cache, a.kv_element, at + i) : 0.0f;
  }
  TESSERA_UNROLL
  for (int h = 0; h < kGroup; ++h) {
    float score = 0;
    TESSERA_UNROLL
    for (int j = 0; j < kPerLane; ++j) score += q[h][j] * k[j];
    score = warp_sum(score) * a.scale;
    const float largest = max_of(state.largest[h], score);
    const float keep = exp_of(state.largest[h] - largest), weight = exp_of(score - largest);
    state.largest[h] = largest;
    state.total[h] = state.total[h] * keep + weight;
    TESSERA_UNROLL
    for (int j = 0; j < kPerLane; ++j) state.sum[h][j] = state.sum[h][j] * keep + weight * v[j];
  }
}

// The warps' results become one, in `partial`; shared memory is (warps, head_dim + 2) floats.
template <int kPerLane, int kGroup>
TESSERA_DEVICE void join_warps(const AttentionArgs& a, int head, int token, int h,
                               const Softmax<kPerLane, kGroup>& state) {
  const auto shared = cast<float>(shared_memory());
  const int stride = a.head_dim + 2;
  const auto mine = shared + warp() * stride;
  TESSERA_UNROLL
  for (int j = 0; j < kPerLane; ++j)
    if (lane() + j * kWarp < a.head_dim) mine[lane() + j * kWarp] = state.sum[h][j];
  if (lane() == 0) mine[a.head_dim] = state.largest[h], mine[a.head_dim + 1] = state.total[h];
  sync_block();
  float largest = kNoScore, total = 0;
  for (int w = 0; w < kAttentionWarps; ++w) largest = max_of(largest, shared[w * stride + a.head_dim]);
  const auto out =
      global<float>(a.partial) + ((int64_t{token} * a.n_heads + head) * a.n_splits + block_x()) * (a.head_dim + 2);
  for (int i = thread(); i < a.head_dim; i += kAttentionThreads) {
    float sum = 0;
    for (int w = 0; w < kAttentionWarps; ++w)
      sum += shared[w * stride + i] * exp_of(shared[w * stride + a.head_dim] - largest);
    out[i] = sum;
  }
  for (int w = 0; w < kAttentionWarps; ++w)
    total += shared[w * stride + a.head_dim + 1] * exp_of(shared[w * stride + a.head_dim] - largest);
  if (thread() == 0) out[a.head_dim] = largest, out[a.head_dim + 1] = total;
  sync_block();  // before the next head
}

// Heads [first, first + kGroup) of a KV head's group; those past its end repeat the last one and are not stored.
template <int kPerLane, int kGroup>
TESSERA_KERNEL(kAttentionThreads, 1)
attention_kernel(AttentionArgs a) {
  let_next_start();
  wait_for_previous();
  const int group = a.n_heads / a.n_kv_heads, n_parts = (group + kGroup - 1) / kGroup;
  const int kv_head = block_y() / n_parts, first = block_y() % n_parts * kGroup, token = block_z();
  float q[kGroup][kPerLane];
  Softmax<kPerLane, kGroup> state;
  TESSERA_UNROLL
  for (int h = 0; h < kGroup; ++h) {
    const int head = kv_head * group + min_of(first + h, group - 1);
    state.largest[h] = kNoScore, state.total[h] = 0;
    TESSERA_UNROLL
    for (int j = 0; j < kPerLane; ++j) {
      const int i = lane() + j * kWarp;
      q[h][j] =
          i < a.head_dim ? global<const float>(a.queries)[(int64_t{token} * a.n_heads + head) * a.head_dim + i] : 0.0f;
      state.sum[h][j] = 0;
    }
  }
  const KeyRange keys = keys_of_piece(a, token, token, block_x());
  for (int key = keys.begin + warp(); key < keys.end; key += kAttentionWarps)
    attend_key<kPerLane, kGroup>(a, kv_head, key, q, state);
  TESSERA_UNROLL
  for (int h = 0; h < kGroup; ++h)
    if (first + h < group) join_warps<kPerLane, kGroup>(a, kv_head * group + first + h, token, h, state);
}

// block_x: head, block_y: token. Joins the pieces and divides. With few keys the last pieces are empty and not looked
// at.
TESSERA_KERNEL(kAttentionThreads, 1) combine_kernel(AttentionArgs a) {
  let_next_start();
  wait_for_previous();
  const int64_t row = int64_t{block_y()} * a.n_heads + block_x();
  const int stride = a.head_dim + 2;
  const auto pieces = global<const float>(a.partial) + row * a.n_splits * stride;
  const int n_keys = global<const int32_t>(a.position)[0] + a.m;  // at most
  const int n_pieces = min_of(a.n_splits, (n_keys + kLeastKeys - 1) / kLeastKeys);
  float largest = kNoScore, total = 0;
  for (int s = 0; s < n_pieces; ++s) largest = max_of(largest, pieces[s * stride + a.head_dim]);
  for (int s = 0; s < n_pieces; ++s)
    total += pieces[s * stride + a.head_dim + 1] * exp_of(pieces[s * stride + a.head_dim] - largest);
  for (int i = thread(); i < a.head_dim; i += kAttentionThreads) {
    float sum = 0;
    TESSERA_UNROLL
    for (int s = 0; s < n_pieces; ++s)
      sum += pieces[s * stride + i] * exp_of(pieces[s * stride + a.head_dim] - largest);
    store_float(a.out, a.out_element, row * a.head_dim + i, sum / total);
  }
}

inline int combine(Device& device, const AttentionArgs& args, Failure* failure) {
  Launch shape;
  shape.threads = kAttentionThreads;
  shape.blocks = {args.n_heads, args.m, 1};
  return launch(device, shape, combine_kernel, args, failure);
}

template <int kPerLane, int kGroup>
int launch_exact_attention(Device& device, const AttentionArgs& args, Failure* failure) {
  const int group = args.n_heads / args.n_kv_heads;
  Launch shape;
  shape.threads = kAttentionThreads;
  shape.shared_bytes = kAttentionWarps * (args.head_dim + 2) * static_cast<int>(sizeof(float));
  shape.blocks = {args.n_splits, args.n_kv_heads * pieces_of(group, kGroup), args.m};
  if (launch(device, shape, attention_kernel<kPerLane, kGroup>, args, failure)) return 1;
  return combine(device, args, failure);
}

// Query and sum of a head take 2 kPerLane registers: as many heads at once as leave room for the rest.
inline int exact_attention(Device& device, const AttentionArgs& args, Failure* failure) {
  return for_head_size(args.head_dim, [&]<int size>() {
    return launch_exact_attention < size / kWarp, size <= 128 ? 8 : 4 > (device, args, failure);
  });
}

}  // namespace tessera::kernels::cuda
