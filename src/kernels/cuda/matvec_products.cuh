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

// One token has all eight columns of the products: column c takes the activations of slice c of a unit. Of what slice s
// of the weights yields only column s means anything, so that a lane has, and scales, those of slices 2 (lane % 4) and
// the next. Its sums of its two rows are of a quarter of their values; the four lanes' are added at the end.
template <>
struct TokenCodes<1> {
  int n_slices, quarter;
  Address q, sums, d;  // the lane's own of the first unit
  TESSERA_DEVICE explicit TokenCodes(const Activations& x)
      : n_slices(x.k / kSlice), quarter(once(lane() % 4)), q(once(x.q + static_cast<Address>(8 * lane()))) {
    sums = once(x.sums + static_cast<Address>(8 * quarter)), d = x.d;
  }
  // Of slice lane / 4. A unit past whose slices the row ends has those of its last one instead.
  TESSERA_DEVICE Words2 codes(int unit) const {
    return *global<const Words2>(q + static_cast<Address>(unit * kUnitValues));
  }
  TESSERA_DEVICE Words2 codes_before_end(int unit) const {
    const int past = max_of(0, unit * kUnitSlices + lane() / 4 - (n_slices - 1));
    return *global<const Words2>(q + static_cast<Address>(int64_t{unit} * kUnitValues - past * kSlice));
  }
  // Of each 16 codes of the lane's two slices the remainder and the quotient by 128.
  TESSERA_DEVICE Words2 block_sums(int unit) const {
    return *global<const Words2>(sums + static_cast<Address>(unit * kSlice));
  }
  TESSERA_DEVICE float scale(int group) const { return global<const float>(d)[group]; }
};
template <>
struct TileSums<1> {
  float of[2];
};
// A lane's own of the products of a slice: those of its columns, of two rows.
TESSERA_DEVICE void take_own(int quarter, int s, const int32_t (&part)[4], int32_t (&own)[4]) {
  TESSERA_UNROLL
  for (int e = s % 2; e < 4; e += 2) own[e] = s < 2 || quarter == s / 2 ? part[e] : own[e];
}

// One block of 256 values: a lane's part of it is one integer.
template <typename F>
TESSERA_DEVICE void multiply_unit_of_256(const QuadPair<F, kUnitValues>& w, const TokenCodes<1>& x, int unit,
                                         TileSums<1>& acc) {
  const Words2 b = x.codes(unit), sums = x.block_sums(unit);
  const float scale = x.scale(unit);
  int32_t own[F::kScales][4];
  TESSERA_UNROLL
  for (int s = 0; s < kUnitSlices; ++s) {
    int32_t part[F::kScales][4];
    multiply_slice(w, s, b, part);
    TESSERA_UNROLL
    for (int j = 0; j < F::kScales; ++j) take_own(x.quarter, s, part[j], own[j]);
  }
  TESSERA_UNROLL
  for (int r = 0; r < 2; ++r) {
    const auto& row = w.row[r];
    int32_t sum = 0;
    TESSERA_UNROLL
    for (int i = 0; i < 2 * F::kScales; ++i) sum += own[i % F::kScales][2 * r + i / F::kScales] * F::own_scale(row, i);
    const uint32_t o = F::offset_word(row);
    const int32_t offset = dot4(o, sums.word[0], 128 * dot4(o, sums.word[1], 0));
    if constexpr (F::kHasMin) {
      const float inner = F::d(row) * static_cast<float>(sum) - F::dmin(row) * static_cast<float>(offset);
      acc.of[r] += scale * inner;
    } else {
      acc.of[r] += F::d(row) * scale * static_cast<float>(sum - F::kBias * offset);
    }
  }
}

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
template <typename F>
TESSERA_DEVICE void multiply_unit_of_32(const QuadPair<F, kUnitValues>& w, const TokenCodes<1>& x, int unit,
                                        TileSums<1>& acc) {
  const Words2 b = x.codes_before_end(unit);
  int32_t own[4];
  TESSERA_UNROLL
  for (int s = 0; s < kUnitSlices; ++s) {
    int32_t part[1][4];
    multiply_slice(w, s, b, part);
    take_own(x.quarter, s, part[0], own);
  }
  TESSERA_UNROLL
  for (int i = 0; i < 2; ++i) {
    const float scale = x.scale(min_of(unit * kUnitSlices + 2 * x.quarter + i, x.n_slices - 1));
    TESSERA_UNROLL
    for (int r = 0; r < 2; ++r) acc.of[r] += F::own_scale(w.row[r], i) * scale * static_cast<float>(own[2 * r + i]);
  }
}
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
