// The weight rows a panel works on, as many as a vector has dwords. Rows past the end of the weight repeat its last
// one: their results land in columns nobody reads, and no byte outside the weight is touched.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/linear_kernels.h"
#include "kernels/cpu/unpack/lanes.h"
#include "kernels/cpu/unroll.h"

namespace tessera::kernels::cpu {

// How panels of few tokens take the rows of a tile. Which is faster depends on the processor; results do not.
enum class RowOrder {
  kNeighbours,  // a panel's rows follow each other, and the next panel is asked for meanwhile
  kDistant,     // panels take the next row of each of a few stretches, so that each stretch is read from its beginning
                // to its end, a stream that the processor reads ahead of
};

// Which rows of a tile.
struct PanelPlace {
  int first, step = 1;  // one panel's rows are neighbours, or lie `step` apart

  // Panel `i` of those of few tokens, one after the other.
  template <class V, RowOrder order>
  static PanelPlace of(const LinearTile& tile, int i) {
    if constexpr (order == RowOrder::kDistant) return {i, n_panels<V>(tile)};
    return {i * V::kRows};
  }
  template <class V>
  static int n_panels(const LinearTile& tile) {
    return (tile.n_rows + V::kRows - 1) / V::kRows;
  }
  [[gnu::always_inline]] int row(const LinearTile& tile, int r) const {
    const int row = first + r * step;
    return row < tile.n_rows ? row : tile.n_rows - 1;
  }
};

// Of 256 values of a row.
template <class Block>
inline constexpr int64_t kStepBytes = 256 / Block::kValues* static_cast<int64_t>(sizeof(Block));

template <class V, class Block>
struct BlockRows {
  const std::byte* row[V::kRows];

  BlockRows() = default;
  BlockRows(const LinearTile& tile, PanelPlace place) {
    for (int r = 0; r < V::kRows; ++r) row[r] = tile.weights + place.row(tile, r) * tile.row_bytes;
  }
  // What lies from `offset` on, while n_ahead bytes for each row are asked for.
  Lanes<V> lanes(int64_t offset, int64_t n_ahead, const std::byte* ahead) const {
    return Lanes<V>(row, offset, n_ahead, ahead);
  }
  // n_bytes of rows far apart.
  Lanes<V> distant_lanes(int64_t offset, int64_t n_bytes) const { return Lanes<V>(row, offset, n_bytes); }
};

template <class V, class F>
struct PanelRows : BlockRows<V, typename F::Block> {
  using BlockRows<V, typename F::Block>::BlockRows;
};

// The last values of a panel's rows, fewer than 256, as a step that is filled up with zeros: where k is no multiple of
// 256, reading a whole one would run past the row's end.
template <class V, class Block>
struct PaddedBlocks {
  alignas(64) std::byte bytes[V::kRows][kStepBytes<Block>] = {};

  // Values [begin, end).
  PaddedBlocks(const BlockRows<V, Block>& from, int64_t begin, int64_t end) {
    constexpr int64_t kBytes = sizeof(Block);
    for (int r = 0; r < V::kRows; ++r)
      __builtin_memcpy(bytes[r], from.row[r] + begin / Block::kValues * kBytes,
                       static_cast<size_t>((end - begin) / Block::kValues * kBytes));
  }
};

template <class V, class F>
struct PaddedTail {
  PaddedBlocks<V, typename F::Block> blocks;
  PanelRows<V, F> rows;

  PaddedTail(const PanelRows<V, F>& from, int64_t begin, int64_t end) : blocks(from, begin, end) {
    for (int r = 0; r < V::kRows; ++r) rows.row[r] = blocks.bytes[r];
  }
  PaddedTail(const PaddedTail&) = delete;
  PaddedTail& operator=(const PaddedTail&) = delete;
};

// d and m of the groups of each row that `lanes` hold, at `offset` of the rows.
template <class V, class F>
class PanelScales32 {
 public:
  using Floats = typename V::Floats;
  PanelScales32(const PanelRows<V, F>&, int64_t, const Lanes<V>& lanes) : lanes_(lanes) {}

  // Of group j, one after the other. `m` is left alone without kHasMin.
  template <int j>
  void load(Floats& d, Floats& m) {
    constexpr int kOfBlock = F::Block::kValues / F::kGroup;
    if constexpr (j % kOfBlock == 0) head_ = F::head(lanes_, j / kOfBlock);
    F::template numbers<j % kOfBlock>(head_, d, m);
  }

 private:
  const Lanes<V>& lanes_;
  typename V::Bits head_;  // of the block
};

// Asks for the lines of kBytes from `from` on, which begin where what is read now ends, into the first cache.
template <class V, int64_t kBytes>
inline void fetch_near(typename V::Bits& x, const std::byte* from) {
  if constexpr (V::kFetchesNear)
    for (int64_t i = kBytes - 1; i >= 0; i -= 64) x = V::fetch_near(x, from + i);
}

}  // namespace tessera::kernels::cpu
