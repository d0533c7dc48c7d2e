// What comes before attention: the table of the rotation, and the norms and rotation of the heads with the write of the
// caches, as a launch of its own (flash_decode.cuh does that itself). References: runtime/steps/attention_step.cpp.
#pragma once

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/words.cuh"

namespace tessera::kernels::cuda {

inline constexpr int kMaxHeadDim = 512, kMaxPerLane = kMaxHeadDim / kWarp;
inline constexpr int kHeadWarps = 8;  // of a block

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

// One head of one token by a warp; a lane has the same elements of both halves, so that a rotated pair is in one lane:
// runs of kRun neighbours, lane by lane.
struct Head {
  float low[kMaxPerLane / 2], high[kMaxPerLane / 2];
};
template <int kRun>
TESSERA_DEVICE int place_in_half(int j) {
  return (j / kRun * kWarp + lane()) * kRun + j % kRun;
}

// Loads come one after the other where each is in a branch of its own: eight waits for memory instead of one. Runs of
// four (heads of a multiple of eight) are all asked for at once.
TESSERA_DEVICE void load_runs(const AttentionArgs& a, Address from, int64_t at, Head& head) {
  constexpr int kRuns = kMaxPerLane / 8;  // of each half
  const int half = a.head_dim / 2;
  if (a.element == Element::kF32) {
    Words4 low[kRuns] = {}, high[kRuns] = {};
    TESSERA_UNROLL
    for (int r = 0; r < kRuns; ++r) {
      const int i = place_in_half<4>(4 * r);
      if (i < half) low[r] = load_words4(global<const float>(from) + (at + i));
      if (i < half) high[r] = load_words4(global<const float>(from) + (at + half + i));
    }
    TESSERA_UNROLL
    for (int j = 0; j < kMaxPerLane / 2; ++j)
      head.low[j] = float_of_bits(low[j / 4].word[j % 4]), head.high[j] = float_of_bits(high[j / 4].word[j % 4]);
    return;
  }
  Words2 low[kRuns] = {}, high[kRuns] = {};
  TESSERA_UNROLL
  for (int r = 0; r < kRuns; ++r) {
    const int i = place_in_half<4>(4 * r);
    if (i < half) low[r] = *cast<const Words2>(global<const uint16_t>(from) + (at + i));
    if (i < half) high[r] = *cast<const Words2>(global<const uint16_t>(from) + (at + half + i));
  }
  TESSERA_UNROLL
  for (int j = 0; j < kMaxPerLane / 2; ++j) {
    head.low[j] = float_of_half(static_cast<uint16_t>(low[j / 4].word[j / 2 % 2] >> 16 * (j % 2)), a.element);
    head.high[j] = float_of_half(static_cast<uint16_t>(high[j / 4].word[j / 2 % 2] >> 16 * (j % 2)), a.element);
  }
}
template <int kRun>
TESSERA_DEVICE void load_head(const AttentionArgs& a, Address from, int64_t at, Head& head) {
  if constexpr (kRun == 4) {
    load_runs(a, from, at, head);
  } else {
    const int half = a.head_dim / 2;
    TESSERA_UNROLL
    for (int j = 0; j < kMaxPerLane / 2; ++j) {
      const int i = place_in_half<1>(j);
      head.low[j] = i < half ? load_float(from, a.element, at + i) : 0.0f;
      head.high[j] = i < half ? load_float(from, a.element, at + half + i) : 0.0f;
    }
  }
}
// What a lane's elements of a table of floats are; zeros past the half.
template <int kRun>
TESSERA_DEVICE void load_table(Global<const float> table, int half, float (&x)[kMaxPerLane / 2]) {
  TESSERA_UNROLL
  for (int j = 0; j < kMaxPerLane / 2; j += kRun) {
    const int i = place_in_half<kRun>(j);
    if constexpr (kRun == 4) {
      Words4 words = {};
      if (i < half) words = load_words4(table + i);
      TESSERA_UNROLL
      for (int k = 0; k < 4; ++k) x[j + k] = float_of_bits(words.word[k]);
    } else {
      x[j] = i < half ? table[i] : 0.0f;
    }
  }
}
TESSERA_DEVICE void normalize(const AttentionArgs& a, Head& head) {
  float squares = 0;
  TESSERA_UNROLL
  for (int j = 0; j < kMaxPerLane / 2; ++j) squares += head.low[j] * head.low[j] + head.high[j] * head.high[j];
  const float factor = inverse_sqrt(warp_sum(squares) / static_cast<float>(a.head_dim) + a.eps);
  TESSERA_UNROLL
  for (int j = 0; j < kMaxPerLane / 2; ++j) head.low[j] *= factor, head.high[j] *= factor;
}
// What a lane's elements are multiplied with: the weights of the norm and the rotation.
struct HeadTables {
  float low[kMaxPerLane / 2], high[kMaxPerLane / 2], cos[kMaxPerLane / 2], sin[kMaxPerLane / 2];
};
template <int kRun>
TESSERA_DEVICE void load_tables(const AttentionArgs& a, Address weight, int token, HeadTables& tables) {
  const int half = a.head_dim / 2;
  load_table<kRun>(global<const float>(weight), half, tables.low);
  load_table<kRun>(global<const float>(weight) + half, half, tables.high);
  load_table<kRun>(global<const float>(a.cos) + token * half, half, tables.cos);
  load_table<kRun>(global<const float>(a.sin) + token * half, half, tables.sin);
}
// Pairs (i, i + half).
TESSERA_DEVICE void weigh_and_rotate(const HeadTables& tables, Head& head) {
  TESSERA_UNROLL
  for (int j = 0; j < kMaxPerLane / 2; ++j) {
    const float x = head.low[j] * tables.low[j], y = head.high[j] * tables.high[j];
    head.low[j] = x * tables.cos[j] - y * tables.sin[j];
    head.high[j] = x * tables.sin[j] + y * tables.cos[j];
  }
}
// `element` is of 16 bits where runs are of four.
template <int kRun>
TESSERA_DEVICE void store_head(const Head& head, int head_dim, Address to, Element element, int64_t at) {
  const int half = head_dim / 2;
  TESSERA_UNROLL
  for (int j = 0; j < kMaxPerLane / 2; j += kRun) {
    const int i = place_in_half<kRun>(j);
    if (i >= half) continue;
    if constexpr (kRun == 4) {
      const auto words = [&](const float* x) {
        return Words2{{halves_of(x[0], x[1], element), halves_of(x[2], x[3], element)}};
      };
      *cast<Words2>(global<uint16_t>(to) + (at + i)) = words(head.low + j);
      *cast<Words2>(global<uint16_t>(to) + (at + half + i)) = words(head.high + j);
    } else {
      store_float(to, element, at + i, head.low[j]);
      store_float(to, element, at + half + i, head.high[j]);
    }
  }
}

// Of a token: those of q, and of k and v where the layer has caches of its own.
constexpr int heads_of(const AttentionArgs& a) { return a.n_heads + (a.k != 0 ? 2 * a.n_kv_heads : 0); }

// A warp per head of q, then of k, then of v; block_y: token. Queries are f32 (m, n_heads, head_dim), or, for
// flash_prefill.cuh, of the caches' type with those of a KV head together: (n_kv_heads, m, heads of the group,
// head_dim).
template <bool kByKvHeads>
TESSERA_KERNEL(kHeadWarps* kWarp, kByKvHeads ? 4 : 3)
attention_input_kernel(AttentionArgs a) {
  constexpr int kRun = kByKvHeads ? 4 : 1;
  let_next_start();
  wait_for_previous();
  const int token = block_y(), index = block_x() * kHeadWarps + warp();
  if (index >= heads_of(a)) return;
  const bool is_query = index < a.n_heads, is_key = !is_query && index < a.n_heads + a.n_kv_heads;
  Head head;
  HeadTables tables;  // asked for first: the head's conversions wait for it
  if (is_query || is_key) load_tables<kRun>(a, is_query ? a.q_norm : a.k_norm, token, tables);
  if (is_query) {
    const int64_t at = (int64_t{token} * a.n_heads + index) * a.head_dim;
    load_head<kRun>(a, a.q, at, head);
    normalize(a, head);
    weigh_and_rotate(tables, head);
    if constexpr (kByKvHeads) {
      const int group = a.n_heads / a.n_kv_heads, of_group = index / group * group;
      store_head<kRun>(head, a.head_dim, a.queries, a.kv_element,
                       (int64_t{of_group} * a.m + token * group + index - of_group) * a.head_dim);
    } else {
      store_head<kRun>(head, a.head_dim, a.queries, Element::kF32, at);
    }
    return;
  }
  const int kv_head = (index - a.n_heads) % a.n_kv_heads;
  const int position = global<const int32_t>(a.position)[0] + token;
  load_head<kRun>(a, is_key ? a.k : a.v, (int64_t{token} * a.n_kv_heads + kv_head) * a.head_dim, head);
  normalize(a, head);
  if (is_key) weigh_and_rotate(tables, head);
  store_head<kRun>(head, a.head_dim, is_key ? a.k_cache : a.v_cache, a.kv_element,
                   (int64_t{kv_head} * a.n_slots + position % a.n_slots) * a.head_dim);
}

inline int rope_table(Device& device, const RopeTableArgs& args, Failure* failure) {
  Launch shape;
  shape.blocks = {pieces_of(args.half, kWarp), args.m, 1};
  return launch(device, shape, rope_table_kernel, args, failure);
}

template <bool kByKvHeads>
int attention_input(Device& device, const AttentionArgs& args, Failure* failure) {
  Launch shape;
  shape.threads = kHeadWarps * kWarp;
  shape.blocks = {pieces_of(heads_of(args), kHeadWarps), args.m, 1};
  return launch(device, shape, attention_input_kernel<kByKvHeads>, args, failure);
}

}  // namespace tessera::kernels::cuda
