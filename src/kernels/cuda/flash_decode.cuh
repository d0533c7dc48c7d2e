// Attention of a decode step over caches of 16 bits, from the heads as the linears leave them to the output, in one
// launch. Reference: kernels/cpu/attention.h. Bytes moved: the visible keys and values once for each eight rows, which
// are query heads of a KV head.
//
// A block takes a KV head, eight rows and a piece of the keys; pieces are cut from the keys visible at the position in
// device memory, so that one recorded launch serves every position. Units of 16 keys, or their values, are dealt out
// to its warps, each with a ring of units of its own: a warp needs no other until the end. As keys are the many and
// rows the few, they change places in the tensor cores' product: scores are keys x rows, the output is columns x rows,
// and what softmax multiplies a row by lies in the lanes that hold its sums. Probabilities are turned over in
// registers. At the end warps join in shared memory, pieces in flash_decode_join.cuh.
//
// What the copies in front of wait_for_previous() read was written two launches back or earlier (api.h): the launch
// before lets this one start only when it has waited itself, so all launches but that one have ended.
#pragma once

#include "kernels/cuda/flash_decode_heads.cuh"
#include "kernels/cuda/flash_decode_join.cuh"

namespace tessera::kernels::cuda {

// What a warp has of its keys: rows 2 (lane % 4) + e. The sums of exponentials are of the lane's own keys.
template <typename S>
struct DecodeSums {
  float largest[2] = {kNoScore, kNoScore}, total[2] = {0, 0};
  float out[S::kDim / 16][4] = {};  // columns 16 c + lane / 4 and 8 after, of both rows
};

// Scores of 16 keys: score[2 i + e] is of key lane / 4 + 8 i.
template <typename S>
TESSERA_DEVICE void score_unit(const uint32_t (&q)[S::kDim / 32][4], Shared<const uint8_t> keys, float (&score)[4]) {
  constexpr int kChains = 4;  // of products that wait for each other
  const int matrix = lane() / 8, in_matrix = lane() % 8;
  float part[kChains][4] = {};
  TESSERA_UNROLL
  for (int depth = 0; depth < S::kDim / 16; ++depth) {
    uint32_t k[4];
    load_matrices(k, keys + S::place(matrix % 2 * 8 + in_matrix, 2 * depth + matrix / 2));
    S::multiply(part[depth % kChains], k, q[depth / 2][depth % 2 * 2], q[depth / 2][depth % 2 * 2 + 1]);
  }
  TESSERA_UNROLL
  for (int e = 0; e < 4; ++e) score[e] = (part[0][e] + part[1][e]) + (part[2][e] + part[3][e]);
}

// Makes probabilities of the scores, relative to the new maximum, and brings the sums to it. weights: as the second
// factor of a product, 16 keys by 8 rows.
template <typename S>
TESSERA_DEVICE void weigh_unit(int first, const VisibleKeys& visible, float scale, const float (&score)[4],
                               DecodeSums<S>& sums, uint32_t (&weights)[2]) {
  float weight[4], factor[2];
  TESSERA_UNROLL
  for (int e = 0; e < 2; ++e) {
    float x[2], largest = sums.largest[e];
    TESSERA_UNROLL
    for (int i = 0; i < 2; ++i) {
      const int key = first + lane() / 4 + 8 * i;
      x[i] = key >= visible.first[e] && key <= visible.last[e] ? score[2 * i + e] * scale : kNoScore;
      largest = max_of(largest, x[i]);
    }
    for (int step = 4; step < kWarp; step *= 2) largest = max_of(largest, shuffle_xor(largest, step));
    factor[e] = exp2_of(sums.largest[e] - largest);
    sums.largest[e] = largest;
    TESSERA_UNROLL
    for (int i = 0; i < 2; ++i) weight[2 * i + e] = x[i] > kNoScore ? exp2_of(x[i] - largest) : 0.0f;
    sums.total[e] = sums.total[e] * factor[e] + (weight[e] + weight[2 + e]);
  }
  TESSERA_UNROLL
  for (int i = 0; i < 2; ++i) weights[i] = transpose_matrix(S::pair(weight[2 * i], weight[2 * i + 1]));
  TESSERA_UNROLL
  for (int c = 0; c < S::kDim / 16; ++c) TESSERA_UNROLL
  for (int e = 0; e < 4; ++e) sums.out[c][e] *= factor[e % 2];
}

template <typename S>
TESSERA_DEVICE void add_unit(Shared<const uint8_t> values, const uint32_t (&weights)[2], DecodeSums<S>& sums) {
  const int matrix = lane() / 8, in_matrix = lane() % 8;
  TESSERA_UNROLL
  for (int c = 0; c < S::kDim / 16; ++c) {
    uint32_t v[4];
    load_matrices_transposed(v, values + S::place(matrix / 2 * 8 + in_matrix, 2 * c + matrix % 2));
    S::multiply(sums.out[c], v, weights[0], weights[1]);
  }
}

// A warp's units of the piece. Its first S::kStages - 1 copies are on their way.
template <typename S>
TESSERA_DEVICE void attend(const DecodeBlock<S>& b, UnitCopies<S>& copies, DecodeSums<S>& sums) {
  uint32_t q[S::kDim / 32][4], weights[2] = {};
  TESSERA_UNROLL
  for (int i = 0; i < S::kDim / 32; ++i) load_matrices(q[i], b.queries + S::place(lane() % 8, 4 * i + lane() / 8));
  const VisibleKeys visible = b.visible_keys();
  int stage = 0, which = 0;
  TESSERA_LOOP
  for (int first = b.first_key(0); first < b.keys.end; which ^= 1) {
    wait_copies<S::kStages - 2>();
    sync_warp();          // every lane's part of this unit is there, and the unit before it has been read
    copies.start_next();  // over the unit before it
    const auto unit = b.stage(stage);
    stage = stage + 1 == S::kStages ? 0 : stage + 1;
    b.put_fresh(first, which, unit);
    if (which == 0) {
      float score[4];
      score_unit<S>(q, unit, score);
      weigh_unit<S>(first, visible, b.a.scale * kLog2OfE, score, sums, weights);
    } else {
      add_unit<S>(unit, weights, sums);
      first += S::kRoundKeys;
    }
  }
}

// What a warp has, for the others: over its ring.
template <typename S>
TESSERA_DEVICE void store_warp(const DecodeBlock<S>& b, DecodeSums<S>& sums) {
  sync_warp();  // the last unit has been read
  TESSERA_UNROLL
  for (int e = 0; e < 2; ++e)
    for (int step = 4; step < kWarp; step *= 2) sums.total[e] += shuffle_xor(sums.total[e], step);
  TESSERA_UNROLL
  for (int e = 0; e < 2; ++e) {
    const int row = 2 * (lane() % 4) + e;
    if (row >= b.n_rows) continue;
    if (lane() < 4) b.set_note(warp(), row, sums.largest[e], sums.total[e]);
    const auto part = b.part(warp(), row);
    TESSERA_UNROLL
    for (int c = 0; c < S::kDim / 16; ++c) {
      part[16 * c + lane() / 4] = sums.out[c][e];
      part[16 * c + lane() / 4 + 8] = sums.out[c][2 + e];
    }
  }
}

template <typename S>
TESSERA_KERNEL(S::kThreads, 1)
flash_decode_kernel(FlashArgs args) {
  DecodeBlock<S> b(args);
  b.copy_tables();  // while the position is on its way
  b.cut_keys();
  const bool has_keys = b.keys.begin < b.keys.end;
  UnitCopies<S> copies(b);
  if (has_keys) {
    TESSERA_LOOP
    for (int i = 0; i < S::kStages - 1; ++i) copies.start_next();
    b.clear_queries();
  }
  let_next_start();
  if (!has_keys) {  // as another block of the launch has keys and waits, this one makes way for the next launch
    wait_copies<0>();
    return;
  }
  wait_for_previous();
  wait_copies<S::kStages - 1>();
  sync_block();  // the tables are there
  make_heads<S>(b);
  sync_block();
  if (warp() < S::kKeyWarps) {
    DecodeSums<S> sums;
    attend<S>(b, copies, sums);
    wait_copies<0>();
    store_warp<S>(b, sums);
  } else {
    wait_copies<0>();
  }
  sync_block();
  join_and_store<S>(b);
}

template <typename S>
int launch_flash_decode(Device& device, const AttentionArgs& args, Failure* failure) {
  Launch shape;
  shape.threads = S::kThreads;
  shape.shared_bytes = S::shared_bytes(args.m);
  const FlashArgs of_kernel(args);
  // Blocks begin in this order, of each tile those of the first piece, which has keys, before those that may have none.
  shape.blocks = {args.n_kv_heads, args.n_splits, pieces_of(args.m * of_kernel.group.value, S::kRows)};
  return launch(device, shape, flash_decode_kernel<S>, of_kernel, failure);
}

template <bool kIsBf16>
int flash_decode(Device& device, const AttentionArgs& args, Failure* failure) {
  return for_head_size(args.head_dim, [&]<int size>() {
    return launch_flash_decode<DecodeShape<kIsBf16, size>>(device, args, failure);
  });
}

// Whether the kernels above take these arguments on this device.
inline bool has_flash_decode(const Device& device, const AttentionArgs& args) {
  const int d = args.head_dim, m = args.m;
  const int bytes = for_head_size(d, [&]<int size>() { return DecodeShape<false, size>::shared_bytes(m); });
  return args.kv_element != Element::kF32 && d % 16 == 0 && d <= 512 && device.shared_bytes >= bytes &&
         m * (args.n_heads / args.n_kv_heads) <= kDecodeRows;
}

}  // namespace tessera::kernels::cuda
