// What a block of flash_decode.cuh works on, and its shared memory.
//
// Rows of shared memory are chunks of 16 bytes; chunk c of row r lies at c ^ (r % 8), so that the eight rows a matrix
// load touches fall into different banks.
#pragma once

#include "kernels/cuda/flash_tile.cuh"
#include "kernels/cuda/launch.cuh"

namespace tessera::kernels::cuda {

template <bool kIsBf16, int kHeadDim>
struct DecodeShape : SixteenBits<kIsBf16> {
  static constexpr int kDim = kHeadDim, kRows = 8, kWarps = 8, kThreads = kWarps * kWarp;
  // Units: 16 keys, or their values. The largest fill the shared memory with the rings of four warps; the others help
  // before and after.
  static constexpr int kKeyWarps = kDim >= 512 ? 4 : 8, kStages = kDim >= 256 ? 3 : 4;
  static constexpr int kUnitKeys = 16, kRowBytes = 2 * kDim, kUnitBytes = kUnitKeys * kRowBytes;
  static constexpr int kRingBytes = kStages * kUnitBytes;
  // Keys of a block in a round of its warps; up to kAlone rounds are faster than joining two pieces.
  static constexpr int kRoundKeys = kKeyWarps * kUnitKeys, kAlone = 2;
  static constexpr int kPartStride =
      kDim + 4;  // floats of a row of a warp's sums: the lanes' stores in different banks
  static constexpr int kNotes = kKeyWarps * kRows * 2;
  static_assert(kRows * kPartStride * static_cast<int>(sizeof(float)) <= kRingBytes);

  // Rings, queries, the weights of two norms, notes, a flag; for each token its rotation and its key and value.
  static constexpr int shared_bytes(int m) {
    return kKeyWarps * kRingBytes + kRows * kRowBytes + 2 * kDim * 4 + kNotes * 4 + 16 + m * (kDim * 4 + 2 * kRowBytes);
  }
  TESSERA_DEVICE static int place(int row, int chunk) { return row * kRowBytes + ((chunk ^ (row % 8)) * 16); }
};

// Keys that rows 2 (lane % 4) and the next see, of a block's piece.
struct VisibleKeys {
  int first[2], last[2];
};

template <typename S>
struct DecodeBlock {
  const AttentionArgs& a;
  int group, tile, kv_head, first_row, n_rows;  // rows of the KV head: (tokens, group)
  int position, first_fresh;                    // keys from there on are not in the caches yet
  int piece, n_pieces;
  KeyRange keys;
  Shared<uint8_t> rings, queries, fresh;   // fresh: (tokens, key and value) rows
  Shared<float> norms, rotations, notes_;  // weights of q and k; (tokens, cos and sin); (warps, rows, 2)
  Shared<uint32_t> flag;

  TESSERA_DEVICE explicit DecodeBlock(const AttentionArgs& args) : a(args) {
    group = a.n_heads / a.n_kv_heads;
    kv_head = block_y(), tile = block_z();
    first_row = tile * S::kRows, n_rows = min_of(a.m * group - first_row, S::kRows);
    position = load_past_caches(global<const int32_t>(a.position));
    first_fresh = a.k != 0 ? position : position + a.m;
    piece = block_x();
    cut_keys();
    rings = shared_memory();
    queries = rings + S::kKeyWarps * S::kRingBytes;
    norms = cast<float>(queries + S::kRows * S::kRowBytes);
    notes_ = norms + 2 * S::kDim;
    flag = cast<uint32_t>(notes_ + S::kNotes);
    rotations = cast<float>(flag + 4);
    fresh = cast<uint8_t>(rotations + a.m * S::kDim);
  }
  // Pieces are of whole units, equal but for one, and there are more than one only where each has a round.
  TESSERA_DEVICE void cut_keys() {
    const int first = a.window > 0 ? max_of(0, position - a.window + 1) : 0, end = position + a.m;
    const int n_units = (end - first + S::kUnitKeys - 1) / S::kUnitKeys;
    n_pieces = 1;
    if (end - first > S::kAlone * S::kRoundKeys)
      n_pieces = min_of(a.n_splits, (n_units + S::kKeyWarps - 1) / S::kKeyWarps);
    const auto unit = [&](int of_piece) {
      return static_cast<int>(static_cast<uint32_t>(n_units * of_piece) / static_cast<uint32_t>(n_pieces));
    };
    keys.begin = first + unit(piece) * S::kUnitKeys;
    keys.end = min_of(first + unit(piece + 1) * S::kUnitKeys, end);
  }
  TESSERA_DEVICE int token(int row) const { return a.m == 1 ? 0 : min_of(first_row + row, a.m * group - 1) / group; }
  TESSERA_DEVICE int head(int row) const { return kv_head * group + (first_row + row) - token(row) * group; }
  TESSERA_DEVICE VisibleKeys visible_keys() const {
    VisibleKeys out;
    TESSERA_UNROLL
    for (int e = 0; e < 2; ++e) {
      const int last = position + token(2 * (lane() % 4) + e);
      out.first[e] = a.window > 0 ? last - a.window + 1 : 0;
      out.last[e] = min_of(last, keys.end - 1);
    }
    return out;
  }
  // Of this warp's `step`-th unit.
  TESSERA_DEVICE int first_key(int step) const { return keys.begin + (step * S::kKeyWarps + warp()) * S::kUnitKeys; }

  TESSERA_DEVICE Shared<uint8_t> stage(int i) const { return rings + (warp() * S::kRingBytes + i * S::kUnitBytes); }
  // A warp's sums of a row, which lie over its ring, and their maximum and sum of exponentials.
  TESSERA_DEVICE Shared<float> part(int of_warp, int row) const {
    return cast<float>(rings + of_warp * S::kRingBytes) + row * S::kPartStride;
  }
  TESSERA_DEVICE Words2 note(int of_warp, int row) const {
    return cast<const Words2>(notes_)[of_warp * S::kRows + row];
  }
  TESSERA_DEVICE void set_note(int of_warp, int row, float largest, float total) const {
    cast<Words2>(notes_)[of_warp * S::kRows + row] = Words2{{bits_of_float(largest), bits_of_float(total)}};
  }

  // Starts the copies of the norms' weights and the rotations, in one group.
  TESSERA_DEVICE void copy_tables() const {
    const auto copy = [&](Shared<float> to, Address from, int n) {
      TESSERA_LOOP
      for (int i = 4 * thread(); i < n; i += 4 * S::kThreads)
        copy_async16(cast<uint8_t>(to + i), cast<const uint8_t>(global<const float>(from) + i));
    };
    const int half = a.head_dim / 2;
    copy(norms, a.q_norm, a.head_dim);
    if (first_fresh < keys.end) copy(norms + S::kDim, a.k_norm, a.head_dim);
    TESSERA_LOOP
    for (int t = 0; t < a.m; ++t) {
      copy(rotations + t * S::kDim, a.cos + static_cast<Address>(t * half) * 4, half);
      copy(rotations + (t * S::kDim + half), a.sin + static_cast<Address>(t * half) * 4, half);
    }
    commit_copies();
  }
  TESSERA_DEVICE void clear_queries() const {
    TESSERA_LOOP
    for (int i = thread(); i < S::kRows * S::kRowBytes / 16; i += S::kThreads)
      cast<Words4>(queries)[i] = Words4{{0, 0, 0, 0}};
  }
  // The step's own keys, or values, of a unit of which `first` is the first.
  TESSERA_DEVICE void put_fresh(int first, int which, Shared<uint8_t> unit) const {
    const int from = max_of(first, first_fresh), to = min_of(first + S::kUnitKeys, keys.end);
    if (from >= to) return;
    const int n_chunks = a.head_dim / 8;
    TESSERA_LOOP
    for (int key = from; key < to; ++key) {
      TESSERA_LOOP
      for (int chunk = lane(); chunk < n_chunks; chunk += kWarp)
        *cast<Words4>(unit + S::place(key - first, chunk)) =
            *cast<const Words4>(fresh + (((key - position) * 2 + which) * S::kRowBytes + 16 * chunk));
    }
    sync_warp();
  }
};

// The units of a warp in order, keys and values by turns, on their way into its ring.
template <typename S>
struct UnitCopies {
  const DecodeBlock<S>& b;
  int key, slot;  // of the next unit's first key
  int which = 0, stage = 0;

  TESSERA_DEVICE explicit UnitCopies(const DecodeBlock<S>& of)
      : b(of), key(of.first_key(0)), slot(key % of.a.n_slots) {}
  // Starts the copy of the next unit and closes its group in any case. Keys that are not in the cache, those past the
  // piece's end, and columns past head_dim are zero.
  TESSERA_DEVICE void start_next() {
    if (warp() < S::kKeyWarps && key < b.keys.end) {
      constexpr int kChunks = S::kDim / 8, kRowsAtOnce = kChunks < kWarp ? kWarp / kChunks : 1;
      const int n_there = min_of(b.first_fresh, b.keys.end) - key, row_values = b.a.head_dim;
      const auto cache = global<const uint16_t>(which == 0 ? b.a.k_cache : b.a.v_cache) +
                         int64_t{b.kv_head} * b.a.n_slots * row_values;
      const auto to = b.stage(stage);
      TESSERA_UNROLL
      for (int first = 0; first < S::kUnitKeys; first += kRowsAtOnce) {
        const int row = first + lane() / kChunks;
        int at = slot + row;
        if (at >= b.a.n_slots) at -= b.a.n_slots;
        TESSERA_UNROLL
        for (int chunk = lane() % kChunks; chunk < kChunks; chunk += kWarp)
          copy_async16_or_zeros(to + S::place(row, chunk),
                                cast<const uint8_t>(cache + (int64_t{at} * row_values + 8 * chunk)),
                                row < n_there && 8 * chunk < row_values);
      }
    }
    commit_copies();
    stage = stage + 1 == S::kStages ? 0 : stage + 1;
    which ^= 1;
    if (which != 0) return;
    key += S::kRoundKeys, slot += S::kRoundKeys;
    while (slot >= b.a.n_slots) slot -= b.a.n_slots;
  }
};

}  // namespace tessera::kernels::cuda
