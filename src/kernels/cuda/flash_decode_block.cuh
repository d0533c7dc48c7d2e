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
  const FlashArgs& a;
  int tile, kv_head, first_row, n_rows;  // rows of the KV head: (tokens, group)
  int position;
  int piece, n_pieces, first_fresh;  // keys from there on are not in the caches yet
  KeyRange keys;
  Shared<uint8_t> rings, queries, fresh;   // fresh: (tokens, key and value) rows
  Shared<float> norms, rotations, notes_;  // weights of q and k; (tokens, cos and sin); (warps, rows, 2)
  Shared<uint32_t> flag;

  TESSERA_DEVICE explicit DecodeBlock(const FlashArgs& args) : a(args) {
    position = load_past_caches(global<const int32_t>(a.position));
    kv_head = block_x(), tile = block_z(), piece = block_y();
    first_row = tile * S::kRows, n_rows = min_of(a.m * a.group.value - first_row, S::kRows);
    rings = shared_memory();
    queries = rings + S::kKeyWarps * S::kRingBytes;
    norms = cast<float>(queries + S::kRows * S::kRowBytes);
    notes_ = norms + 2 * S::kDim;
    flag = cast<uint32_t>(notes_ + S::kNotes);
    rotations = cast<float>(flag + 4);
    fresh = cast<uint8_t>(rotations + a.m * S::kDim);
  }
  // The first to need the position. Pieces are of whole units; there are more than one only where the keys take more
  // than kAlone rounds: of a round each, or, where there are enough keys for all blocks, equal but for one unit.
  TESSERA_DEVICE void cut_keys() {
    first_fresh = a.k != 0 ? position : position + a.m;
    const int first = a.window > 0 ? max_of(0, position - a.window + 1) : 0, end = position + a.m;
    const int n_units = (end - first + S::kUnitKeys - 1) / S::kUnitKeys;
    int from = piece * S::kKeyWarps, to = from + S::kKeyWarps;
    n_pieces = (n_units + S::kKeyWarps - 1) / S::kKeyWarps;
    if (end - first <= S::kAlone * S::kRoundKeys) {
      n_pieces = 1, from = piece * n_units, to = from + n_units;
    } else if (n_pieces > a.n_splits) {
      n_pieces = a.n_splits, from = quotient(n_units * piece, a.pieces), to = quotient(n_units * (piece + 1), a.pieces);
    }
    keys.begin = first + from * S::kUnitKeys;
    keys.end = min_of(first + to * S::kUnitKeys, end);
  }
  TESSERA_DEVICE int token(int row) const {
    return quotient(min_of(first_row + row, a.m * a.group.value - 1), a.group);
  }
  TESSERA_DEVICE int head(int row) const {
    return kv_head * a.group.value + (first_row + row) - token(row) * a.group.value;
  }
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
    if (a.k != 0) copy(norms + S::kDim, a.k_norm, a.head_dim);
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

// The units of a warp in order, keys and values by turns, on their way into its ring. A lane copies chunk lane %
// kChunks (of the largest heads also others) of rows first() + i, where i is a multiple of kRowsAtOnce.
template <typename S>
struct UnitCopies {
  static constexpr int kChunks = S::kDim / 8, kRowsAtOnce = kChunks < kWarp ? kWarp / kChunks : 1;
  const DecodeBlock<S>& b;
  uint32_t cache_bytes, row_bytes, at;  // of the KV head; of a row; where the lane's first row of the next unit is
  int key;                              // of the next unit's first
  int which = 0, stage = 0;

  TESSERA_DEVICE explicit UnitCopies(const DecodeBlock<S>& of) : b(of), key(of.first_key(0)) {
    row_bytes = static_cast<uint32_t>(2 * b.a.head_dim);
    cache_bytes = static_cast<uint32_t>(b.a.n_slots) * row_bytes;
    at = static_cast<uint32_t>(remainder(key, b.a.slots) + first()) * row_bytes;
  }
  TESSERA_DEVICE static int first() { return lane() / kChunks; }
  // Starts the copy of the next unit and closes its group in any case. Keys that are not in the cache, those past the
  // piece's end, and columns past head_dim are zero.
  TESSERA_DEVICE void start_next() {
    if (warp() < S::kKeyWarps && key < b.keys.end) {
      const int n_there = min_of(b.first_fresh, b.keys.end) - key - first();
      const auto from = global<const uint8_t>(which == 0 ? b.a.k_cache : b.a.v_cache) +
                        (int64_t{b.kv_head} * cache_bytes + 16 * (lane() % kChunks));
      // Where S::place has it: no bit is in both first() and i, or in both lane and chunk.
      const auto to = b.stage(stage) + first() * S::kRowBytes;
      const int chunk = lane() % kChunks ^ first() % 8;
      uint32_t row = at;
      TESSERA_UNROLL
      for (int i = 0; i < S::kUnitKeys; i += kRowsAtOnce) {
        if (row >= cache_bytes) row -= cache_bytes;
        TESSERA_UNROLL
        for (int more = 0; more < kChunks; more += kWarp)
          copy_async16_or_zeros(to + (i * S::kRowBytes + 16 * ((chunk ^ i % 8) + more)), from + (row + 16 * more),
                                i < n_there && 16 * (lane() % kChunks + more) < static_cast<int>(row_bytes));
        row += kRowsAtOnce * row_bytes;
      }
    }
    commit_copies();
    stage = stage + 1 == S::kStages ? 0 : stage + 1;
    which ^= 1;
    if (which != 0) return;
    key += S::kRoundKeys, at += S::kRoundKeys * row_bytes;
    while (at >= cache_bytes) at -= cache_bytes;
  }
};

}  // namespace tessera::kernels::cuda
