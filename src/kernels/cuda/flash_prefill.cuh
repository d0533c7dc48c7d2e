// Softmax attention of many tokens over caches of 16 bits on the tensor cores; no score leaves its registers.
// Reference: kernels/cpu/attention.h. Bytes moved: the visible keys and values once for each tile of rows.
//
// A row is a query head of a token; rows of a KV head lie together, (token, head of the group). A block takes 128 of
// them (64 of heads of more than 256) and a piece of the keys. A warpgroup has 64 rows: their scores, their
// probabilities - as the next product takes them - and 256 columns of the output are in its registers, so that softmax
// exchanges nothing but the maxima of four lanes. With larger heads both warpgroups have all rows, make the same scores
// and take half of the columns each: a third more products, but nothing to exchange.
//
// Why wgmma and these tiles: shared memory gives 128 bytes a clock, the tensor cores multiply 2048 times. A step of 64
// keys, heads of 256: 64 x 64 x 16 products read 4 KiB in 32 clocks (queries and keys: just what there is), 64 x 256 x
// 16 products 8 KiB in 128, the copies write 64 KiB in 4096: in all 2560 clocks of shared memory against 2048 of the
// tensor cores. Products of single warps would read each key again for every 16 rows. From the L2 cache come 64 KiB for
// 8.4 MFLOP, 3.1 TB/s at 400 TFLOP/s; half as many rows would need twice that.
//
// The order of a step hides softmax: scores of the next keys and output of these are asked for together, and while the
// output is still made the next scores become probabilities.
#pragma once

#include "kernels/cuda/flash_prefill_block.cuh"

namespace tessera::kernels::cuda {

// Probabilities are powers of two relative to a base that may stay behind the maximum by so much: the output, which
// would have to be multiplied while nothing else runs, needs it less than once a row. Up to 2^8 a 16-bit probability is
// as exact as below one.
inline constexpr float kMostBehind = 8;

// What a lane knows of its two rows: keys they see, the largest score that became the base, the sum of exponentials of
// the lane's keys.
struct PrefillRows {
  int first[2], last[2];
  float largest[2] = {kNoScore, kNoScore}, total[2] = {0, 0};

  template <typename S>
  TESSERA_DEVICE explicit PrefillRows(const PrefillBlock<S>& b) {
    TESSERA_UNROLL
    for (int i = 0; i < 2; ++i) {
      const int at = b.position + b.token(b.row(i));
      first[i] = b.a.window > 0 ? at - b.a.window + 1 : 0;
      last[i] = min_of(at, b.keys.end - 1);
    }
  }
};

template <typename S>
using PrefillScores = float[S::kKeys / 2];
template <typename S>
using PrefillOutput = float[S::kColumns / 2];

// Asks for the scores of a tile of keys; start(i) comes after product i.
template <typename S, typename Start>
TESSERA_DEVICE void score_tile(const Panels& queries, const Panels& keys, PrefillScores<S>& scores,
                               const Start& start) {
  warpgroup_arrive();
  TESSERA_UNROLL
  for (int depth = 0; depth < S::kDim / 16; ++depth) {
    multiply_keys<S::kIsBfloat, S::kKeys, S::kRows>(scores, queries, keys, depth, depth > 0);
    start(depth);
  }
  warpgroup_commit();
}

// Makes probabilities of scores, relative to the new base; `factor` brings what was relative to the old one there.
// scale: of the scores, in powers of two.
template <typename S>
TESSERA_DEVICE void weigh_tile(int first_key, float scale, PrefillRows& rows, PrefillScores<S>& scores,
                               float (&factor)[2]) {
  // Only tiles at either end of what the rows see have keys that are not seen by both.
  if (first_key < rows.first[1] || first_key + S::kKeys - 1 > rows.last[0]) {
    TESSERA_UNROLL
    for (int i = 0; i < S::kKeys / 2; ++i) {
      const int key = first_key + i / 4 * 8 + lane() % 4 * 2 + i % 2, half = i / 2 % 2;
      if (key < rows.first[half] || key > rows.last[half]) scores[i] = kNoScore;
    }
  }
  TESSERA_UNROLL
  for (int half = 0; half < 2; ++half) {
    float largest = rows.largest[half], total = 0;
    TESSERA_UNROLL
    for (int i = 2 * half; i < S::kKeys / 2; i += 4) largest = max_of(largest, max_of(scores[i], scores[i + 1]));
    largest = max_of(largest, shuffle_xor(largest, 1));
    largest = max_of(largest, shuffle_xor(largest, 2));
    if ((largest - rows.largest[half]) * scale <= kMostBehind) largest = rows.largest[half];
    factor[half] = exp2_of((rows.largest[half] - largest) * scale);
    rows.largest[half] = largest;
    const float base = largest > kNoScore ? largest * scale : 0;  // none seen yet: all weights are zero
    TESSERA_UNROLL
    for (int i = 2 * half; i < S::kKeys / 2; i += 4) {
      scores[i] = exp2_of(scores[i] * scale - base), scores[i + 1] = exp2_of(scores[i + 1] * scale - base);
      total += scores[i] + scores[i + 1];
    }
    rows.total[half] = rows.total[half] * factor[half] + total;
  }
}

// The probabilities as the first factor of a product.
template <typename S>
TESSERA_DEVICE void pack_weights(const PrefillScores<S>& x, uint32_t (&weights)[S::kKeys / 16][4]) {
  TESSERA_UNROLL
  for (int i = 0; i < S::kKeys / 4; ++i) weights[i / 4][i % 4] = S::pair(x[2 * i], x[2 * i + 1]);
}

// Words j of four neighbouring lanes become the words of lane j, in the lanes' order.
TESSERA_DEVICE void transpose_words(uint32_t (&x)[4]) {
  TESSERA_UNROLL
  for (int bit = 1; bit <= 2; bit *= 2) {
    const bool is_upper = (lane() & bit) != 0;
    TESSERA_UNROLL
    for (int i = 0; i < 2; ++i) {
      uint32_t &low = x[bit == 1 ? 2 * i : i], &high = x[bit == 1 ? 2 * i + 1 : i + 2];
      const uint32_t other = shuffle_xor(is_upper ? low : high, bit);
      low = is_upper ? other : low;
      high = is_upper ? high : other;
    }
  }
}

// One of the lane's rows: f32 where they are asked for, or of a piece, which combine_kernel joins with others.
template <typename S>
TESSERA_DEVICE void store_row(const PrefillBlock<S>& b, int half, const PrefillRows& rows,
                              const PrefillOutput<S>& out) {
  const FlashArgs& a = b.a;
  const int row = b.first_row + b.row(half), token = b.token(b.row(half));
  const bool exists = row<b.n_rows, is_piece = a.n_splits> 1;
  const int head = b.kv_head * a.group.value + row - token * a.group.value;
  const int64_t of_head = int64_t{token} * a.n_heads + head;
  const int first_column = S::kSharers == 1 ? 0 : warp() / kWarpgroup * S::kColumns;
  float total = rows.total[half];
  total += shuffle_xor(total, 1);
  total += shuffle_xor(total, 2);
  const float factor = is_piece ? 1.0f : 1.0f / total;
  if (!is_piece && a.out_element != Element::kF32) {
    TESSERA_UNROLL
    for (int j = 0; j < S::kColumns / 8; j += 4) {
      uint32_t words[4];
      TESSERA_UNROLL
      for (int i = 0; i < 4; ++i)
        words[i] =
            halves_of(out[4 * (j + i) + 2 * half] * factor, out[4 * (j + i) + 2 * half + 1] * factor, a.out_element);
      transpose_words(words);
      const int column = first_column + 8 * (j + lane() % 4);
      if (exists && column < a.head_dim)
        *cast<Words4>(global<uint16_t>(a.out) + (of_head * a.head_dim + column)) =
            Words4{{words[0], words[1], words[2], words[3]}};
    }
    return;
  }
  if (!exists) return;
  const int64_t at = is_piece ? (of_head * a.n_splits + b.piece) * (a.head_dim + 2) : of_head * a.head_dim;
  const auto to = global<float>(is_piece ? a.partial : a.out) + at;
  if (is_piece && first_column == 0 && lane() % 4 == 0)
    to[a.head_dim] = rows.largest[half] * a.scale, to[a.head_dim + 1] = total;
  TESSERA_UNROLL
  for (int j = 0; j < S::kColumns / 8; ++j) {
    const int column = first_column + 8 * j + lane() % 4 * 2;
    if (column < a.head_dim)
      *cast<Words2>(to + column) =
          Words2{{bits_of_float(out[4 * j + 2 * half] * factor), bits_of_float(out[4 * j + 2 * half + 1] * factor)}};
  }
}

template <typename S>
TESSERA_KERNEL(S::kThreads, 1)
flash_prefill_kernel(FlashArgs args) {
  wait_for_previous();
  let_next_start();
  PrefillBlock<S> b(args);
  b.copy_queries();
  b.set_keys();
  PrefillTiles<S> keys(b, args.k_cache, b.key_ring), values(b, args.v_cache, b.value_ring);
  keys.start_tile();
  commit_copies();
  PrefillRows rows(b);
  PrefillScores<S> scores;
  PrefillOutput<S> out = {};
  const Panels queries(b.warpgroup_queries());
  const float scale = args.scale * kLog2OfE;
  const int n_tiles = (b.keys.end - b.keys.begin + S::kKeys - 1) / S::kKeys;
  // What this thread has copied is there for products of any warp, once they meet.
  const auto finish_copies = [] {
    wait_copies<0>();
    fence_async_proxy();
  };
  // The copies of the next keys and values go between the products of scores: behind all products they would start when
  // most of these are done, in front of them the products would wait for 200 instructions and as many requests.
  using Tiles = PrefillTiles<S>;
  static_assert(2 * Tiles::kCopies <= S::kDim / 16);
  const auto start_copy = [&](int i) {
    if (i < Tiles::kCopies)
      keys.start(i);
    else if (i < 2 * Tiles::kCopies)
      values.start(i - Tiles::kCopies);
  };
  finish_copies();
  sync_block();
  if (n_tiles > 0) score_tile<S>(queries, Panels(b.key_ring), scores, start_copy);
  commit_copies();
  warpgroup_wait<0>();
  TESSERA_LOOP
  for (int tile = 0; tile < n_tiles; ++tile) {
    float factor[2];
    uint32_t weights[S::kKeys / 16][4];
    settle(scores);
    weigh_tile<S>(b.keys.begin + tile * S::kKeys, scale, rows, scores, factor);
    // Waits in each branch: in front of them the compiler would move them up to where the scores are first used.
    if (any_of_warp(factor[0] != 1 || factor[1] != 1)) {
      finish_copies();
      warpgroup_wait<0>();
      settle(out);
      TESSERA_UNROLL
      for (int i = 0; i < S::kColumns / 2; ++i) out[i] *= factor[i / 2 % 2];
    } else {
      finish_copies();
      warpgroup_wait<0>();
    }
    settle(scores);
    settle(out);
    pack_weights<S>(scores, weights);
    sync_block();  // the next keys and these values are there, and the keys and values before them have been read
    if (tile + 1 < n_tiles)
      score_tile<S>(queries, Panels(b.key_ring + (tile + 1) % 2 * S::kTileBytes), scores, start_copy);
    commit_copies();
    const Panels tile_values(b.value_ring + (tile % 2 * S::kTileBytes + b.warpgroup_panels()), S::kPanel);
    warpgroup_arrive();
    TESSERA_UNROLL
    for (int step = 0; step < S::kKeys / 16; ++step)
      multiply_values<S::kIsBfloat, S::kColumns, S::kKeys>(out, weights[step], tile_values, step);
    warpgroup_commit();
    warpgroup_wait<1>();  // the scores
  }
  warpgroup_wait<0>();
  settle(out);
  wait_copies<0>();
  TESSERA_UNROLL
  for (int half = 0; half < 2; ++half) store_row<S>(b, half, rows, out);
}

template <typename S>
int launch_flash_prefill(Device& device, const AttentionArgs& args, Failure* failure) {
  Launch shape;
  shape.threads = S::kThreads;
  shape.shared_bytes = S::kSharedBytes;
  const FlashArgs of_kernel(args);
  const int at_once = args.n_kv_heads % kHeadsAtOnce == 0 ? kHeadsAtOnce : args.n_kv_heads;
  shape.blocks = {at_once, pieces_of(args.m * of_kernel.group.value, S::kRows),
                  args.n_kv_heads / at_once * args.n_splits};
  return launch(device, shape, flash_prefill_kernel<S>, of_kernel, failure);
}

// Of queries as attention_input<true> leaves them. Several pieces are left to combine_kernel.
template <bool kIsBf16>
int flash_prefill(Device& device, const AttentionArgs& args, Failure* failure) {
  return for_head_size(args.head_dim, [&]<int size>() {
    return launch_flash_prefill<PrefillShape<kIsBf16, size>>(device, args, failure);
  });
}

// Whether the kernels above take these arguments on this device.
inline bool has_flash_prefill(const Device& device, const AttentionArgs& args) {
  const int d = args.head_dim;
  const int bytes = for_head_size(d, [&]<int size>() {
    static_assert(PrefillShape<false, size>::kSharedBytes <= kFlashSharedBytes);
    return PrefillShape<false, size>::kSharedBytes;
  });
  return args.kv_element != Element::kF32 && d % 8 == 0 && d <= 512 && device.shared_bytes >= bytes;
}

}  // namespace tessera::kernels::cuda
