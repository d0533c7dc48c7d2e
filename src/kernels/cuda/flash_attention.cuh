// Softmax attention over caches of 16 bits on the tensor cores, for one token as for many: no score ever reaches device
// memory. Reference: kernels/cpu/attention.h. Bytes moved: the visible keys and values once for each tile of rows.
//
// A row is a query head of a token; rows of a KV head lie together, (token, head of the group), in tiles of 16 or 64. A
// block takes a tile of rows and a piece of the keys, and goes through it in tiles of keys that arrive two ahead in
// shared memory. Scores: the warps share the rows and keys of a tile among themselves. Then each knows the new maximum
// of its rows, leaves the probabilities in shared memory, and the output's columns are shared: every warp has all rows
// of kDim / kWarps columns.
//
// Rows of shared memory are chunks of 16 bytes; chunk c of row r lies at c ^ (r % 8), so that the eight rows a matrix
// load touches fall into different banks.
#pragma once

#include "kernels/cuda/activations.cuh"
#include "kernels/cuda/flash_tile.cuh"

namespace tessera::kernels::cuda {

template <bool kIsBf16, int kHeadDim, int kTiles>
struct FlashShape : SixteenBits<kIsBf16> {
  static constexpr int kDim = kHeadDim, kRowTiles = kTiles, kRows = 16 * kRowTiles;
  static constexpr int kWarps = kDim >= 128 ? 8 : 4, kThreads = kWarps * kWarp;
  static constexpr int kKeys = kDim >= 512 ? 32 : 64, kStages = kRowTiles == 1 ? 3 : 2;
  static constexpr int kRowBytes = 2 * kDim, kTileBytes = kKeys * kRowBytes;  // of keys, of values
  // Scores: (row tiles, groups of keys) of warps; with one row tile some may be idle.
  static constexpr int kKeyGroups = kRowTiles > 1 ? kWarps / kRowTiles : (kKeys / 8 < kWarps ? kKeys / 8 : kWarps);
  static constexpr int kGroupKeys = kKeys / kKeyGroups, kColumns = kDim / kWarps;
  static constexpr int kWeightStride = 2 * kKeys + 16;  // bytes of a row of probabilities
  static constexpr int kQueryBytes = kRows * kRowBytes, kWeightBytes = kRows * kWeightStride;
  // Of each row: maxima and sums by groups of keys, and what earlier sums are multiplied by.
  static constexpr int kNoteFloats = kRows * (2 * kKeyGroups + 1);
  static constexpr int kSharedBytes =
      kQueryBytes + kStages * 2 * kTileBytes + kWeightBytes + kNoteFloats * static_cast<int>(sizeof(float));

  TESSERA_DEVICE static int place(int row, int chunk) { return row * kRowBytes + ((chunk ^ (row % 8)) * 16); }
};

// What a block works on, and its shared memory.
template <typename S>
struct FlashBlock {
  const AttentionArgs& a;
  int group, kv_head, first_row, n_rows;  // rows of the KV head: (tokens, group)
  Shared<uint8_t> queries, stages, weights;
  Shared<float> maxima, sums, factors;  // (key groups, rows), (key groups, rows), (rows)
  KeyRange keys;

  TESSERA_DEVICE explicit FlashBlock(const AttentionArgs& args) : a(args) {
    group = a.n_heads / a.n_kv_heads, n_rows = a.m * group;
    const int n_tiles = (n_rows + S::kRows - 1) / S::kRows;
    kv_head = block_y() / n_tiles;
    first_row = (n_tiles - 1 - block_y() % n_tiles) * S::kRows;  // those with the most keys first
    queries = shared_memory();
    stages = queries + S::kQueryBytes;
    weights = stages + S::kStages * 2 * S::kTileBytes;
    maxima = cast<float>(weights + S::kWeightBytes);
    sums = maxima + S::kKeyGroups * S::kRows;
    factors = sums + S::kKeyGroups * S::kRows;
  }
  TESSERA_DEVICE int token(int row) const { return min_of(first_row + row, n_rows - 1) / group; }
  TESSERA_DEVICE int head(int row) const { return kv_head * group + min_of(first_row + row, n_rows - 1) % group; }

  // Rows past the last are zero.
  TESSERA_DEVICE void load_queries() const {
    TESSERA_UNROLL
    for (int i = thread(); i < S::kRows * (S::kDim / 8); i += S::kThreads) {
      const int row = i / (S::kDim / 8), chunk = i % (S::kDim / 8);
      float x[8] = {};
      if (first_row + row < n_rows)
        load_eight(a.queries, Element::kF32, (int64_t{token(row)} * a.n_heads + head(row)) * a.head_dim, 8 * chunk,
                   a.head_dim, x);
      const Words4 words = {{S::pair(x[0], x[1]), S::pair(x[2], x[3]), S::pair(x[4], x[5]), S::pair(x[6], x[7])}};
      *cast<Words4>(queries + S::place(row, chunk)) = words;
    }
  }
  // Starts the copies of keys and values [first, first + kKeys) and closes their group in any case. Those past the
  // piece's end repeat its last; columns past head_dim are zero.
  TESSERA_DEVICE void copy_keys(int first, int stage) const {
    if (first < keys.end) {
      const auto to = stages + stage * 2 * S::kTileBytes;
      const int first_slot = first % a.n_slots;
      constexpr int kChunks = S::kDim / 8;
      for (int i = thread(); i < 2 * S::kKeys * kChunks; i += S::kThreads) {
        const int which = i / (S::kKeys * kChunks), row = i / kChunks % S::kKeys, chunk = i % kChunks;
        int slot = first_slot + min_of(row, keys.end - 1 - first);
        if (slot >= a.n_slots) slot -= a.n_slots;
        const auto place = to + (which * S::kTileBytes + S::place(row, chunk));
        const int64_t at = (int64_t{kv_head} * a.n_slots + slot) * a.head_dim + 8 * chunk;
        if (8 * chunk < a.head_dim)
          copy_async16(place, cast<const uint8_t>(global<const uint16_t>(which ? a.v_cache : a.k_cache) + at));
        else
          *cast<Words4>(place) = Words4{{0, 0, 0, 0}};
      }
    }
    commit_copies();
  }
};

// Scores of a warp's 16 rows and its group of keys: score[j] of keys 8 j ..., as mma has them.
template <typename S>
TESSERA_DEVICE void score_keys(const FlashBlock<S>& b, Shared<const uint8_t> keys, int row_tile, int key_group,
                               float (&score)[S::kGroupKeys / 8][4]) {
  const int matrix = lane() / 8, in_matrix = lane() % 8;
  TESSERA_UNROLL
  for (int j = 0; j < S::kGroupKeys / 8; ++j) TESSERA_UNROLL
  for (int e = 0; e < 4; ++e) score[j][e] = 0;
  TESSERA_UNROLL
  for (int depth = 0; depth < S::kDim / 16; depth += 2) {
    uint32_t q[2][4];
    TESSERA_UNROLL
    for (int i = 0; i < 2; ++i)
      load_matrices(q[i],
                    b.queries + S::place(16 * row_tile + matrix % 2 * 8 + in_matrix, 2 * (depth + i) + matrix / 2));
    TESSERA_UNROLL
    for (int j = 0; j < S::kGroupKeys / 8; ++j) {
      uint32_t k[4];
      load_matrices(k, keys + S::place(key_group * S::kGroupKeys + 8 * j + in_matrix, 2 * depth + matrix));
      S::multiply(score[j], q[0], k[0], k[1]);
      S::multiply(score[j], q[1], k[2], k[3]);
    }
  }
}

// What a warp remembers of rows lane / 4 and + 8 of its tile: the maximum so far, and its own keys' sum.
struct RowNotes {
  float largest[2] = {kNoScore, kNoScore}, total[2] = {0, 0};
};

// Masks and scales the scores and leaves their maxima for the other groups of keys.
template <typename S>
TESSERA_DEVICE void note_maxima(const FlashBlock<S>& b, int first_key, int row_tile, int key_group,
                                float (&score)[S::kGroupKeys / 8][4]) {
  const int position = global<const int32_t>(b.a.position)[0];
  TESSERA_UNROLL
  for (int i = 0; i < 2; ++i) {
    const int row = 16 * row_tile + lane() / 4 + 8 * i, at = position + b.token(row);
    const int from = b.a.window > 0 ? max_of(b.keys.begin, at - b.a.window + 1) : b.keys.begin;
    const int to = min_of(b.keys.end - 1, at);
    float largest = kNoScore;
    TESSERA_UNROLL
    for (int j = 0; j < S::kGroupKeys / 8; ++j) TESSERA_UNROLL
    for (int e = 0; e < 2; ++e) {
      const int key = first_key + key_group * S::kGroupKeys + 8 * j + 2 * (lane() % 4) + e;
      float& x = score[j][2 * i + e];
      x = key >= from && key <= to ? x * b.a.scale : kNoScore;
      largest = max_of(largest, x);
    }
    largest = max_of(largest, shuffle_xor(largest, 1));
    largest = max_of(largest, shuffle_xor(largest, 2));
    if (lane() % 4 == 0) b.maxima[key_group * S::kRows + row] = largest;
  }
}

// Probabilities relative to the new maximum, into shared memory.
template <typename S>
TESSERA_DEVICE void weigh_keys(const FlashBlock<S>& b, int row_tile, int key_group, RowNotes& notes,
                               const float (&score)[S::kGroupKeys / 8][4]) {
  TESSERA_UNROLL
  for (int i = 0; i < 2; ++i) {
    const int row = 16 * row_tile + lane() / 4 + 8 * i;
    float largest = notes.largest[i];
    TESSERA_UNROLL
    for (int g = 0; g < S::kKeyGroups; ++g) largest = max_of(largest, b.maxima[g * S::kRows + row]);
    const float factor = exp_of(notes.largest[i] - largest);
    notes.largest[i] = largest;
    notes.total[i] *= factor;
    if (key_group == 0 && lane() % 4 == 0) b.factors[row] = factor;
    TESSERA_UNROLL
    for (int j = 0; j < S::kGroupKeys / 8; ++j) {
      float weight[2];
      TESSERA_UNROLL
      for (int e = 0; e < 2; ++e) {
        const float x = score[j][2 * i + e];
        weight[e] = x > kNoScore ? exp_of(x - largest) : 0.0f;  // all may be masked, and then the maximum is none
        notes.total[i] += weight[e];
      }
      const int key = key_group * S::kGroupKeys + 8 * j + 2 * (lane() % 4);
      *cast<uint32_t>(b.weights + (row * S::kWeightStride + 2 * key)) = S::pair(weight[0], weight[1]);
    }
  }
}

// out of all rows and this warp's columns: out[i][j] of row tile i, columns 8 j ...
template <typename S>
using Outputs = float[S::kRowTiles][S::kColumns / 8][4];

template <typename S>
TESSERA_DEVICE void add_values(const FlashBlock<S>& b, Shared<const uint8_t> values, Outputs<S>& out) {
  const int matrix = lane() / 8, in_matrix = lane() % 8, first_chunk = warp() * S::kColumns / 8;
  TESSERA_UNROLL
  for (int i = 0; i < S::kRowTiles; ++i) {
    const float factor[2] = {b.factors[16 * i + lane() / 4], b.factors[16 * i + lane() / 4 + 8]};
    TESSERA_UNROLL
    for (int j = 0; j < S::kColumns / 8; ++j) TESSERA_UNROLL
    for (int e = 0; e < 4; ++e) out[i][j][e] *= factor[e / 2];
  }
  TESSERA_UNROLL
  for (int depth = 0; depth < S::kKeys / 16; ++depth) {
    uint32_t p[S::kRowTiles][4];
    TESSERA_UNROLL
    for (int i = 0; i < S::kRowTiles; ++i)
      load_matrices(
          p[i], b.weights + ((16 * i + matrix % 2 * 8 + in_matrix) * S::kWeightStride + (2 * depth + matrix / 2) * 16));
    TESSERA_UNROLL
    for (int j = 0; j < S::kColumns / 8; j += 2) {
      uint32_t v[4];
      load_matrices_transposed(
          v, values + S::place(16 * depth + matrix % 2 * 8 + in_matrix, first_chunk + j + matrix / 2));
      TESSERA_UNROLL
      for (int i = 0; i < S::kRowTiles; ++i) {
        S::multiply(out[i][j], p[i], v[0], v[1]);
        S::multiply(out[i][j + 1], p[i], v[2], v[3]);
      }
    }
  }
}

// Divided by the sum where there is one piece; else as it is, with maximum and sum, for combine_kernel.
template <typename S>
TESSERA_DEVICE void store_outputs(const FlashBlock<S>& b, const Outputs<S>& out) {
  const AttentionArgs& a = b.a;
  TESSERA_UNROLL
  for (int i = 0; i < S::kRowTiles; ++i) TESSERA_UNROLL
  for (int half = 0; half < 2; ++half) {
    const int row = 16 * i + lane() / 4 + 8 * half;
    if (b.first_row + row >= b.n_rows) continue;
    float total = 0;
    for (int g = 0; g < S::kKeyGroups; ++g) total += b.sums[g * S::kRows + row];
    const int64_t of_head = int64_t{b.token(row)} * a.n_heads + b.head(row);
    const int64_t partial = (of_head * a.n_splits + block_x()) * (a.head_dim + 2);
    if (a.n_splits > 1 && warp() == 0 && lane() % 4 == 0) {
      global<float>(a.partial)[partial + a.head_dim] = b.maxima[row];
      global<float>(a.partial)[partial + a.head_dim + 1] = total;
    }
    TESSERA_UNROLL
    for (int j = 0; j < S::kColumns / 8; ++j) TESSERA_UNROLL
    for (int e = 0; e < 2; ++e) {
      const int column = warp() * S::kColumns + 8 * j + 2 * (lane() % 4) + e;
      const float value = out[i][j][2 * half + e];
      if (column >= a.head_dim) continue;
      if (a.n_splits > 1)
        global<float>(a.partial)[partial + column] = value;
      else
        store_float(a.out, a.out_element, of_head * a.head_dim + column, value / total);
    }
  }
}

template <typename S>
TESSERA_KERNEL(S::kThreads, 1)
flash_attention_kernel(AttentionArgs args) {
  let_next_start();
  wait_for_previous();
  FlashBlock<S> b(args);
  b.keys = keys_of_piece(args, b.token(0), b.token(S::kRows - 1), block_x());
  for (int i = 0; i < S::kStages - 1; ++i) b.copy_keys(b.keys.begin + i * S::kKeys, i);
  b.load_queries();
  const int row_tile = S::kRowTiles > 1 ? warp() % S::kRowTiles : 0;
  const int key_group = S::kRowTiles > 1 ? warp() / S::kRowTiles : warp();
  const bool scores = key_group < S::kKeyGroups;
  RowNotes notes;
  Outputs<S> out = {};
  int stage = 0;
  for (int first = b.keys.begin; first < b.keys.end; first += S::kKeys) {
    wait_copies<S::kStages - 2>();
    sync_block();  // this tile is there, and the one before it has been used
    b.copy_keys(first + (S::kStages - 1) * S::kKeys, (stage + S::kStages - 1) % S::kStages);
    const auto tile = b.stages + stage * 2 * S::kTileBytes;
    float score[S::kGroupKeys / 8][4];
    if (scores) {
      score_keys<S>(b, tile, row_tile, key_group, score);
      note_maxima<S>(b, first, row_tile, key_group, score);
    }
    sync_block();
    if (scores) weigh_keys<S>(b, row_tile, key_group, notes, score);
    sync_block();
    add_values<S>(b, tile + S::kTileBytes, out);
    stage = (stage + 1) % S::kStages;
  }
  wait_copies<0>();
  sync_block();
  TESSERA_UNROLL
  for (int i = 0; i < 2; ++i) {
    float total = notes.total[i];
    total += shuffle_xor(total, 1);
    total += shuffle_xor(total, 2);
    const int row = 16 * row_tile + lane() / 4 + 8 * i;
    if (!scores || lane() % 4 != 0) continue;
    b.sums[key_group * S::kRows + row] = total;
    if (key_group == 0) b.maxima[row] = notes.largest[i];
  }
  sync_block();
  store_outputs<S>(b, out);
}

template <typename S>
int launch_flash_attention(Device& device, const AttentionArgs& args, Failure* failure) {
  Launch shape;
  shape.threads = S::kThreads;
  shape.shared_bytes = S::kSharedBytes;
  const int n_rows = args.m * (args.n_heads / args.n_kv_heads);
  shape.blocks = {args.n_splits, args.n_kv_heads * pieces_of(n_rows, S::kRows), 1};
  return launch(device, shape, flash_attention_kernel<S>, args, failure);
}

template <bool kIsBf16, int kDim>
int launch_flash_attention(Device& device, const AttentionArgs& args, Failure* failure) {
  if (args.m * (args.n_heads / args.n_kv_heads) <= 16)
    return launch_flash_attention<FlashShape<kIsBf16, kDim, 1>>(device, args, failure);
  return launch_flash_attention<FlashShape<kIsBf16, kDim, 4>>(device, args, failure);
}

template <bool kIsBf16>
int flash_attention(Device& device, const AttentionArgs& args, Failure* failure) {
  if (args.head_dim <= 64) return launch_flash_attention<kIsBf16, 64>(device, args, failure);
  if (args.head_dim <= 128) return launch_flash_attention<kIsBf16, 128>(device, args, failure);
  if (args.head_dim <= 256) return launch_flash_attention<kIsBf16, 256>(device, args, failure);
  return launch_flash_attention<kIsBf16, 512>(device, args, failure);
}

// Whether the kernels above take these arguments on this device.
inline bool has_flash_attention(const Device& device, const AttentionArgs& args) {
  return args.kv_element != Element::kF32 && args.head_dim % 8 == 0 && args.head_dim <= 512 &&
         device.shared_bytes >= FlashShape<false, 512, 1>::kSharedBytes;
}

}  // namespace tessera::kernels::cuda
