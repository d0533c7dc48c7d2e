// What a warp of the int8 decode does with a unit of sixteen rows: the activations as its lanes read them, the products
// on the tensor cores, and the sums they are added to. Arithmetic: kernels/cpu/arithmetic.md.
#pragma once

#include "kernels/cuda/row_tiles.cuh"

namespace tessera::kernels::cuda {

inline constexpr int kTileTokens = 8;

// The activations as one lane reads them: of each tile of 8 tokens, those of token lane / 4.
template <int kTokens>
struct TokenCodes {
  const Activations& x;
  int tile_rows, n_slices, last;
  TESSERA_DEVICE explicit TokenCodes(const Activations& of)
      : x(of), tile_rows(min_of(of.m, kTileTokens)), n_slices(of.k / kSlice), last(of.m - 1) {}
  // Row (tile, i of n) of 32 bytes: two words of the lane.
  TESSERA_DEVICE Words2 words(Address from, int tile, int i, int n) const {
    const int token = min_of(lane() / 4, min_of(last - tile * kTileTokens, kTileTokens - 1));
    const int row = (tile * n + i) * tile_rows + token;
    return *cast<const Words2>(global<const uint8_t>(from) + (row * kSlice + 8 * (lane() % 4)));
  }
  TESSERA_DEVICE Words2 codes(int tile, int slice) const { return words(x.q, tile, slice, n_slices); }
  TESSERA_DEVICE Words2 sums(int tile, int block) const { return words(x.sums, tile, block, n_slices / 8); }
  // Scale of token 2 (lane % 4) + e of the tile.
  TESSERA_DEVICE float scale(int tile, int e, int group, int n_groups) const {
    const int token = min_of(tile * kTileTokens + 2 * (lane() % 4) + e, last);
    return global<const float>(x.d)[token * n_groups + group];
  }
};

// Products of slice s of sixteen rows with eight columns: of each part of it that has its own scale.
template <typename F>
TESSERA_DEVICE void multiply_slice(const QuadPair<F, kUnitValues>& w, int s, const Words2& b,
                                   int32_t (&part)[F::kScales][4]) {
  const Words2 a0 = F::codes(w.row[0], s), a1 = F::codes(w.row[1], s);
  if constexpr (F::kScales == 1) {
    mma_int8_32(part[0], a0.word[0], a1.word[0], a0.word[1], a1.word[1], b.word[0], b.word[1]);
  } else {
    mma_int8_16(part[0], a0.word[0], a1.word[0], b.word[0]);
    mma_int8_16(part[1], a0.word[1], a1.word[1], b.word[1]);
  }
}

// Sums of a lane: rows lane / 4 and + 8, tokens 2 (lane % 4) and the next: of[i][e] is of row e / 2, token e % 2 of
// token tile i.
template <int kTokens>
struct TileSums {
  static constexpr int kTiles = (kTokens + kTileTokens - 1) / kTileTokens;
  float of[kTiles][4];
};

// One block of 256 values, all integer inside.
template <typename F, int kTokens>
TESSERA_DEVICE void multiply_unit_of_256(const QuadPair<F, kUnitValues>& w, const TokenCodes<kTokens>& x, int unit,
                                         TileSums<kTokens>& acc) {
  constexpr int kTiles = TileSums<kTokens>::kTiles;
  int32_t sum[kTiles][4] = {};
  TESSERA_UNROLL
  for (int s = 0; s < kUnitSlices; ++s) {
    TESSERA_UNROLL
    for (int i = 0; i < kTiles; ++i) {
      int32_t part[F::kScales][4];
      multiply_slice(w, s, x.codes(i, unit * kUnitSlices + s), part);
      TESSERA_UNROLL
      for (int e = 0; e < 4; ++e) TESSERA_UNROLL
      for (int j = 0; j < F::kScales; ++j) sum[i][e] += part[j][e] * F::integer_scale(w.row[e / 2], F::kScales * s + j);
    }
  }
  const uint32_t o0 = F::offset_word(w.row[0]), o1 = F::offset_word(w.row[1]);
  const float d[2] = {F::d(w.row[0]), F::d(w.row[1])}, dmin[2] = {F::dmin(w.row[0]), F::dmin(w.row[1])};
  TESSERA_UNROLL
  for (int i = 0; i < kTiles; ++i) {
    const Words2 b = x.sums(i, unit);  // of each 16 codes: the remainder and the quotient by 128
    int32_t low[4], high[4];
    mma_int8_16(low, o0, o1, b.word[0]);
    mma_int8_16(high, o0, o1, b.word[1]);
    const float scale[2] = {x.scale(i, 0, unit, x.n_slices / 8), x.scale(i, 1, unit, x.n_slices / 8)};
    TESSERA_UNROLL
    for (int e = 0; e < 4; ++e) {
      const int32_t offset = low[e] + 128 * high[e];
      if constexpr (F::kHasMin) {
        const float inner = d[e / 2] * static_cast<float>(sum[i][e]) - dmin[e / 2] * static_cast<float>(offset);
        acc.of[i][e] += scale[e % 2] * inner;
      } else {
        acc.of[i][e] += d[e / 2] * scale[e % 2] * static_cast<float>(sum[i][e] - F::kBias * offset);
      }
    }
  }
}

// Up to eight blocks of 32 values, each with scales of its own; of blocks past the end of the row they are 0.
template <typename F, int kTokens>
TESSERA_DEVICE void multiply_unit_of_32(const QuadPair<F, kUnitValues>& w, const TokenCodes<kTokens>& x, int unit,
                                        TileSums<kTokens>& acc) {
  constexpr int kTiles = TileSums<kTokens>::kTiles;
  TESSERA_UNROLL
  for (int s = 0; s < kUnitSlices; ++s) {
    const int slice = min_of(unit * kUnitSlices + s, x.n_slices - 1);
    const float d[2] = {F::scale(w.row[0], s), F::scale(w.row[1], s)};
    TESSERA_UNROLL
    for (int i = 0; i < kTiles; ++i) {
      int32_t part[1][4];
      multiply_slice(w, s, x.codes(i, slice), part);
      const float scale[2] = {x.scale(i, 0, slice, x.n_slices), x.scale(i, 1, slice, x.n_slices)};
      TESSERA_UNROLL
      for (int e = 0; e < 4; ++e) acc.of[i][e] += d[e / 2] * scale[e % 2] * static_cast<float>(part[0][e]);
    }
  }
}

template <typename F, int kTokens>
TESSERA_DEVICE void multiply_unit(const QuadPair<F, kUnitValues>& w, const TokenCodes<kTokens>& x, int unit,
                                  TileSums<kTokens>& acc) {
  if constexpr (F::kValues == kUnitValues)
    multiply_unit_of_256(w, x, unit, acc);
  else
    multiply_unit_of_32(w, x, unit, acc);
}

}  // namespace tessera::kernels::cuda
