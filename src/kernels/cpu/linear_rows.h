// The sixteen weight rows a panel works on. Rows past the end of the weight repeat its last one: their results land in
// columns nobody reads, and no byte outside the weight is touched.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/linear_kernels.h"

namespace tessera::kernels::cpu {

inline constexpr int kPanelRows = 16;

template <class Block>
struct BlockRows {
  const std::byte* row[kPanelRows];

  BlockRows() = default;
  [[gnu::always_inline]] BlockRows(const LinearTile& tile, int first) {
    for (int r = 0; r < kPanelRows; ++r) {
      const int clamped = first + r < tile.n_rows ? first + r : tile.n_rows - 1;
      row[r] = tile.weights + clamped * tile.row_bytes;
    }
  }
  [[gnu::always_inline]] const Block* block(int r, int64_t offset) const {
    return reinterpret_cast<const Block*>(row[r] + offset);
  }
};

template <class F>
struct PanelRows : BlockRows<typename F::Block> {
  using BlockRows<typename F::Block>::BlockRows;
  // Scales of rows z, z + 4, z + 8, z + 12: four such vectors transpose into lanes that are rows in order.
  [[gnu::always_inline]] auto scales(int z, int64_t offset) const {
    return F::scales(this->block(z, offset), this->block(z + 4, offset), this->block(z + 8, offset),
                     this->block(z + 12, offset));
  }
};

// The last blocks of sixteen rows, fewer than eight, filled up with zeros: where k is no multiple of 256, reading eight
// would run past the row's end.
template <class Block>
struct PaddedBlocks {
  alignas(64) std::byte bytes[kPanelRows][8 * sizeof(Block)] = {};

  [[gnu::always_inline]] PaddedBlocks(const BlockRows<Block>& from, int64_t first_block, int64_t end_block) {
    constexpr int64_t kBytes = sizeof(Block);
    for (int r = 0; r < kPanelRows; ++r)
      __builtin_memcpy(bytes[r], from.row[r] + first_block * kBytes,
                       static_cast<size_t>((end_block - first_block) * kBytes));
  }
};

template <class F>
struct PaddedTail {
  PaddedBlocks<typename F::Block> blocks;
  PanelRows<F> rows;

  [[gnu::always_inline]] PaddedTail(const PanelRows<F>& from, int64_t first_block, int64_t end_block)
      : blocks(from, first_block, end_block) {
    for (int r = 0; r < kPanelRows; ++r) rows.row[r] = blocks.bytes[r];
  }
  PaddedTail(const PaddedTail&) = delete;
  PaddedTail& operator=(const PaddedTail&) = delete;
};

// d and m of eight blocks of sixteen rows, rows in lanes.
template <class V, class F>
struct PanelScales32 {
  typename V::Floats d[8];
  typename V::Floats m[8];  // if F::kHasMin

  [[gnu::always_inline]] PanelScales32(const PanelRows<F>& rows, int64_t offset) {
    typename V::Bits d_words[4], m_words[4];
    for (int z = 0; z < 4; ++z) {
      const auto four = rows.scales(z, offset);
      d_words[z] = four.d;
      if constexpr (F::kHasMin) m_words[z] = four.m;
    }
    widen(d_words, d);
    if constexpr (F::kHasMin) widen(m_words, m);
  }

 private:
  [[gnu::always_inline]] static void widen(typename V::Bits (&words)[4], typename V::Floats (&out)[8]) {
    V::transpose_quarters(words);
    for (int c = 0; c < 4; ++c) {
      out[2 * c] = V::f16_low(words[c]);
      out[2 * c + 1] = V::f16_high(words[c]);
    }
  }
};

// Memory is asked for in the order of the file, one panel (decode) or one tile (prefill) ahead of the work: a panel is
// sixteen short streams, too many for the processor's own prefetcher.
//
// Asks for part `part` of `n_parts` of the lines of kBytes from `from` on, after what made `x`.
template <class V, int64_t kBytes, int part, int n_parts>
[[gnu::always_inline]] inline void fetch_part(typename V::Bits& x, const std::byte* from) {
  constexpr int64_t kLines = (kBytes + 63) / 64;
  for (int64_t i = kLines * part / n_parts; i < kLines * (part + 1) / n_parts; ++i) V::fetch(x, from + 64 * i);
}

}  // namespace tessera::kernels::cpu
