// The seam between linear.cpp with linear_tiles.h, which cut the work, and the kernels of an instruction set, which do
// one tile of it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/cpu/activations.h"
#include "kernels/cpu/affine_groups.h"
#include "kernels/cpu/isa.h"
#include "quant/format.h"

namespace tessera::kernels::cpu {

// Weight rows of a tile: four panels of 16. Their codes of one block take 20 kB of a first-level cache, and a pass over
// the activations, which come from the third, serves all of them.
inline constexpr int kTileRows = 64;
// Kernels that take a panel by itself have the last tiles so small, and threads finish together.
inline constexpr int kPanelRows = 16;
// With tile registers products take so little time that a pass has to serve more: 140 kB of a second-level cache.
inline constexpr int kMatrixTileRows = 256;
inline constexpr int kMatrixTokens = 16;  // rows of a tile register
// For fewer tokens, unpacking for tile products takes longer than these save.
inline constexpr int kLeastMatrixTokens = 20;
// Of rows that lie far apart: as many streams as a vector has rows. With more tokens arithmetic decides, not reading.
inline constexpr int kDistantTileRows = 256, kMostDistantTokens = 4;
inline constexpr int kMostTileRows = std::max(kMatrixTileRows, kDistantTileRows);
// Tokens of a tile. A block of activations (384 bytes) and an accumulator row (256 bytes) for each: 320 kB, a third of
// a second-level cache; the tile's weights are unpacked once for all of them.
inline constexpr int kTileTokens = 512;

// Where finished outputs go.
struct TileOutput {
  DType dtype;           // f32, f16 or bf16
  std::byte* rows;       // the tile's first row of its first token
  int64_t stride_bytes;  // from token to token
  const float* gate;     // laid out as LinearTile::out, or null: outputs are multiplied with gelu_tanh(gate)
};

// Where the sums of a token lie, in floats, those of sixteen rows together. Rows past the last one, up to a multiple of
// sixteen, are scribbled on.
struct SumsLayout {
  int64_t panel, token;  // between neighbours
  constexpr int64_t of(int64_t row, int64_t token_index) const {
    return row / 16 * panel + row % 16 + token_index * token;
  }
};
inline constexpr SumsLayout kSumsOfTokens = {.panel = 16, .token = kTileRows};  // a token's rows together
// Of a tile: each panel's rows together if it has more than kTileRows.
constexpr SumsLayout sums_of_tile(int n_rows, int n_tokens) {
  if (n_rows <= kTileRows) return kSumsOfTokens;
  return {.panel = 16 * int64_t{n_tokens}, .token = 16};
}

// Some rows of a weight (TileRows) times up to kTileTokens tokens.
struct LinearTile {
  const quant::Format* format;  // null: `groups`
  AffineGroups groups;          // from the first row on
  const std::byte* weights;     // the first row: blocks, or codes
  int64_t row_bytes;
  int n_rows;
  const std::byte* next;  // the weights this thread reads after these: fetched meanwhile, so any address will do
  ActivationView x;       // from the tile's first token on
  int n_tokens;
  float* out;                // 64-byte aligned: the sum of row r of token t lies at out[sums.of(r, t)]
  SumsLayout sums;           // of `out`: sums_of_tile
  const float* bias;         // (n_rows) or null
  float factor;              // multiplies sums and bias
  const TileOutput* output;  // null: results, bias added, stay in `out`
};

using TileFn = void (*)(const LinearTile& tile);

// How rows become tiles: threads are dealt units, and one tile may have several that follow each other.
struct TileRows {
  int unit = kTileRows, most = kTileRows;
};
inline constexpr TileRows kExactTileRows = {.unit = kPanelRows};

// Integer arithmetic of one format. Null: the instruction set has none.
struct Int8Kernel {
  TileFn neighbours, distant;  // few tokens, any number of rows (linear_few.h, RowOrder)
  TileFn panels;               // more tokens, up to kTileRows rows
  TileFn matrix;               // more still, on tile registers: up to kMatrixTileRows rows
};

// Which of them takes a tile.
struct Int8Choice {
  bool distant_rows;  // few tokens read rows that lie far apart, where the format has a kernel for both orders
  int least_panel_tokens;

  constexpr bool is_distant(const Int8Kernel& kernel, int64_t m) const {
    return kernel.distant && m <= kMostDistantTokens && (distant_rows || !kernel.neighbours);
  }
  // Of the tiles of m tokens.
  constexpr TileRows rows(const Int8Kernel& kernel, int64_t m) const {
    if (m < least_panel_tokens) return {kPanelRows, is_distant(kernel, m) ? kDistantTileRows : kTileRows};
    if (kernel.matrix && m >= kLeastMatrixTokens) return {kMatrixTileRows, kMatrixTileRows};
    return {};
  }
  // Of a tile of rows() for m tokens, of which the last one may have fewer.
  constexpr TileFn kernel(const Int8Kernel& kernel, int n_rows, int n_tokens) const {
    if (n_tokens < least_panel_tokens) return is_distant(kernel, n_tokens) ? kernel.distant : kernel.neighbours;
    if (kernel.matrix && (n_tokens >= kLeastMatrixTokens || n_rows > kTileRows)) return kernel.matrix;
    return kernel.panels;
  }
};

// With more tokens exact arithmetic is faster when rows are dequantized to memory.
inline constexpr int kMostFewExactTokens = 4;

struct PackedFormat {
  quant::GgmlType type;
  Int8Kernel int8;
  TileFn few_exact;  // up to kMostFewExactTokens tokens
};

struct AffineCodes {
  int bits;
  Int8Kernel int8;
};

struct FloatFormat {
  quant::GgmlType type;
  TileFn exact;
};

struct LinearKernels {
  std::span<const PackedFormat> packed;
  std::span<const AffineCodes> affine;
  int least_panel_tokens;                                                      // of integer arithmetic: fewer are few
  std::span<const FloatFormat> floats;                                         // formats read as f32 directly
  TileFn dequantized;                                                          // exact arithmetic of everything else
  void (*quantize256)(const float* x, ActivationBlock256& out);                // 256 values
  void (*quantize32)(const float* x, int n_groups, ActivationBlock32x8& out);  // 32 n_groups values
};

const LinearKernels& linear_kernels(Isa isa);
Int8Choice int8_choice(Isa isa, int n_threads);

}  // namespace tessera::kernels::cpu
