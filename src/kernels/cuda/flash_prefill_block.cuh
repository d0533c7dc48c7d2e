// What a block of flash_prefill.cuh works on, its shared memory, and the tiles on their way there.
#pragma once

#include "kernels/cuda/flash_products.cuh"
#include "kernels/cuda/launch.cuh"

namespace tessera::kernels::cuda {

// Of a warpgroup's output: 64 rows of so many are 128 registers of each lane.
inline constexpr int kMostColumns = 256;

// KV heads that all multiprocessors work on at a time, where there are more: of a chunk of 2048 tokens, heads of 256,
// the keys and values of eight are 17 MB, of sixteen 25 MB, which each half of the L2 cache would have to hold for
// itself. With four the last blocks would be too long (7 % of the whole).
inline constexpr int kHeadsAtOnce = 8;

template <bool kIsBf16, int kHeadDim>
struct PrefillShape : SixteenBits<kIsBf16> {
  static constexpr int kDim = kHeadDim, kPanels = kDim / kPanelColumns;
  static constexpr int kWarps = 2 * kWarpgroup, kThreads = kWarps * kWarp;
  // Warpgroups that have the same rows, and share their columns.
  static constexpr int kSharers = kDim > kMostColumns ? 2 : 1;
  static constexpr int kRows = 16 * kWarps / kSharers, kColumns = kDim / kSharers,
                       kKeys = kDim > kMostColumns ? 32 : 64;
  static constexpr int kStages = 2;  // of keys, and of values
  static constexpr int kQueryPanel = kRows * kTileRowBytes, kPanel = kKeys * kTileRowBytes;
  static constexpr int kTileBytes = kPanels * kPanel, kQueryBytes = kPanels * kQueryPanel;
  static constexpr int kSharedBytes = kQueryBytes + 2 * kStages * kTileBytes;
  static_assert(kRows == attention_block_rows(kDecodeRows + 1, kDim));

  // Chunks of 16 bytes of a row, and rows that the threads copy at once: a thread has chunk chunk() of rows first() +
  // i, where i is a multiple of kRowsAtOnce.
  static constexpr int kChunks = kDim / 8, kRowsAtOnce = kThreads / kChunks;
  TESSERA_DEVICE static int chunk() { return thread() % kChunks; }
  TESSERA_DEVICE static int first() { return thread() / kChunks; }
  // As swizzled() has it: no bit is in both first() and i.
  TESSERA_DEVICE static int place(int i, int panel_bytes) {
    return chunk() / 8 * panel_bytes + (first() + i) * kTileRowBytes + (chunk() % 8 ^ first() % 8 ^ i % 8) * 16;
  }
};

template <typename S>
struct PrefillBlock {
  const FlashArgs& a;
  int kv_head, piece, first_row, n_rows;  // rows of the KV head: (tokens, group)
  int position;
  KeyRange keys;
  Shared<uint8_t> queries, key_ring, value_ring;

  TESSERA_DEVICE explicit PrefillBlock(const FlashArgs& args) : a(args) {
    kv_head = quotient(block_z(), a.pieces) * n_blocks_x() + block_x(), piece = remainder(block_z(), a.pieces);
    n_rows = a.m * a.group.value;
    first_row = (n_blocks_y() - 1 - block_y()) * S::kRows;  // those with the most keys first, of all heads of block_z
    queries = shared_memory();
    key_ring = queries + S::kQueryBytes;
    value_ring = key_ring + S::kStages * S::kTileBytes;
  }
  // Reads the position.
  TESSERA_DEVICE void set_keys() {
    position = global<const int32_t>(a.position)[0];
    keys = keys_of_piece(a, token(0), token(S::kRows - 1), piece);
  }
  TESSERA_DEVICE int token(int row) const { return quotient(min_of(first_row + row, n_rows - 1), a.group); }

  // Starts the copies of the block's rows of queries, (n_kv_heads, n_rows, head_dim); those past the last are zero.
  TESSERA_DEVICE void copy_queries() const {
    const int row_bytes = 2 * a.head_dim, n_there = 16 * S::chunk() < row_bytes ? n_rows - first_row : 0;
    const auto from = global<const uint8_t>(a.queries) +
                      ((int64_t{kv_head} * n_rows + first_row + S::first()) * row_bytes + 16 * S::chunk());
    TESSERA_UNROLL
    for (int i = 0; i < S::kRows; i += S::kRowsAtOnce)
      copy_async16_or_zeros(queries + S::place(i, S::kQueryPanel), from + i * row_bytes, S::first() + i < n_there);
  }
  // The rows of this warp's warpgroup, and its columns of a tile.
  TESSERA_DEVICE Shared<const uint8_t> warpgroup_queries() const {
    return queries + (S::kSharers == 1 ? warp() / kWarpgroup * 16 * kWarpgroup * kTileRowBytes : 0);
  }
  TESSERA_DEVICE int warpgroup_panels() const {
    return S::kSharers == 1 ? 0 : warp() / kWarpgroup * (S::kColumns / kPanelColumns) * S::kPanel;
  }
  // Of row i in { 0, 1 } of this lane.
  TESSERA_DEVICE int row(int i) const { return warp() % (S::kWarps / S::kSharers) * 16 + lane() / 4 + 8 * i; }
};

// The keys, or the values, of a piece, tile by tile on their way into two stages by turns.
template <typename S>
struct PrefillTiles {
  Global<const uint8_t> cache;  // of the KV head, and this thread's chunk of its rows
  Shared<uint8_t> ring;
  uint32_t cache_bytes, step_bytes, at;  // of the KV head; of kRowsAtOnce rows; where this thread's next row is
  int n_there;                           // keys no copy was started of, from this thread's next row on
  int stage = 0;

  TESSERA_DEVICE PrefillTiles(const PrefillBlock<S>& b, Address from, Shared<uint8_t> to) : ring(to) {
    const int row_bytes = 2 * b.a.head_dim;
    cache_bytes = static_cast<uint32_t>(b.a.n_slots * row_bytes);
    step_bytes = static_cast<uint32_t>(S::kRowsAtOnce * row_bytes);
    cache = global<const uint8_t>(from) + (int64_t{b.kv_head} * cache_bytes + 16 * S::chunk());
    at = static_cast<uint32_t>((remainder(b.keys.begin, b.a.slots) + S::first()) * row_bytes);
    n_there = 16 * S::chunk() < row_bytes ? b.keys.end - b.keys.begin - S::first() : 0;
  }
  // Starts one of kCopies copies of this thread, which together are the next tile. What is past the piece's end, or
  // past head_dim, is zero.
  static constexpr int kCopies = S::kKeys / S::kRowsAtOnce;
  TESSERA_DEVICE void start(int copy) {
    const int i = copy * S::kRowsAtOnce;
    if (at >= cache_bytes) at -= cache_bytes;
    copy_async16_or_zeros(ring + (stage * S::kTileBytes + S::place(i, S::kPanel)), cache + at, i < n_there);
    at += step_bytes;
    if (copy + 1 < kCopies) return;
    n_there -= S::kKeys, stage ^= 1;
  }
  TESSERA_DEVICE void start_tile() {
    TESSERA_UNROLL
    for (int copy = 0; copy < kCopies; ++copy) start(copy);
  }
};

}  // namespace tessera::kernels::cuda
