// A layer's attention: head norms, rotation and cache write, then softmax attention over the cache, f32 throughout.
// References: runtime/steps/attention_step.cpp, kernels/cpu/attention.h.
//
// attention_kernel: a block per (piece of the keys, KV head, token) reads its keys and values once for all heads of the
// group (flash decoding); combine_kernel joins the pieces. The pieces are cut from the keys that are visible at the
// position in device memory, so that one recorded launch serves every position. Bytes moved: the visible keys and
// values once per token.
#pragma once

#include "kernels/cuda/flash_attention.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/words.cuh"

namespace tessera::kernels::cuda {

inline constexpr int kAttentionWarps = 4, kAttentionThreads = kAttentionWarps * kWarp;
inline constexpr int kMaxHeadDim = 512, kMaxPerLane = kMaxHeadDim / kWarp;
inline constexpr int kMaxGroup = 16;  // heads that share a KV head

// ---- before: rotation table, head norms, cache
// -------------------------------------------------------------------------

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
TESSERA_DEVICE void load_head(const AttentionInputArgs& a, Address from, int64_t at, Head& head) {
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
TESSERA_DEVICE void weigh_and_rotate(const AttentionInputArgs& a, Address weight, int token, Head& head) {
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

// block_x: a head of q, then of k, then of v; block_y: token.
TESSERA_KERNEL(kWarp, 1) attention_input_kernel(AttentionInputArgs a) {
  let_next_start();
  wait_for_previous();
  const int token = block_y(), index = block_x();
  Head head;
  if (index < a.n_heads) {
    const int64_t at = (int64_t{token} * a.n_heads + index) * a.head_dim;
    load_head(a, a.q, at, head);
    weigh_and_rotate(a, a.q_norm, token, head);
    store_head(head, a.head_dim, a.q_out, Element::kF32, at);
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

// ---- attention over a piece of the keys
// ----------------------------------------------------------------------------------

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
      q[h][j] = i < a.head_dim ? global<const float>(a.q)[(int64_t{token} * a.n_heads + head) * a.head_dim + i] : 0.0f;
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

// ---- launching
// -----------------------------------------------------------------------------------------------------------

inline int rope_table(Device& device, const RopeTableArgs& args, Failure* failure) {
  Launch shape;
  shape.blocks = {pieces_of(args.half, kWarp), args.m, 1};
  return launch(device, shape, rope_table_kernel, args, failure);
}

inline int attention_input(Device& device, const AttentionInputArgs& args, Failure* failure) {
  if (args.head_dim > kMaxHeadDim || args.head_dim % 2 != 0)
    return fail(failure, "attention: heads of up to 512 values");
  Launch shape;
  shape.blocks = {args.n_heads + (args.k != 0 ? 2 * args.n_kv_heads : 0), args.m, 1};
  return launch(device, shape, attention_input_kernel, args, failure);
}

inline int combine(Device& device, const AttentionArgs& args, Failure* failure) {
  Launch shape;
  shape.threads = kAttentionThreads;
  shape.blocks = {args.n_heads, args.m, 1};
  return launch(device, shape, combine_kernel, args, failure);
}

template <int kPerLane, int kGroup>
int launch_attention(Device& device, const AttentionArgs& args, Failure* failure) {
  const int group = args.n_heads / args.n_kv_heads;
  Launch shape;
  shape.threads = kAttentionThreads;
  shape.shared_bytes = kAttentionWarps * (args.head_dim + 2) * static_cast<int>(sizeof(float));
  shape.blocks = {args.n_splits, args.n_kv_heads * pieces_of(group, kGroup), args.m};
  if (launch(device, shape, attention_kernel<kPerLane, kGroup>, args, failure)) return 1;
  return combine(device, args, failure);
}

inline int attention(Device& device, const AttentionArgs& args, Failure* failure) {
  if (args.head_dim > kMaxHeadDim) return fail(failure, "attention: heads of up to 512 values");
  if (has_flash_attention(device, args)) {
    const bool is_bf16 = args.kv_element == Element::kBF16;
    if (is_bf16 ? launch_flash_attention<true>(device, args, failure)
                : launch_flash_attention<false>(device, args, failure))
      return 1;
    return args.n_splits > 1 ? combine(device, args, failure) : 0;
  }
  // Query and sum of a head take 2 kPerLane registers: as many heads at once as leave room for the rest.
  if (args.head_dim <= 64) return launch_attention<2, 8>(device, args, failure);
  if (args.head_dim <= 128) return launch_attention<4, 8>(device, args, failure);
  if (args.head_dim <= 256) return launch_attention<8, 4>(device, args, failure);
  return launch_attention<16, 4>(device, args, failure);
}

}  // namespace tessera::kernels::cuda
