// What a warp of the int8 decode does with a unit of sixteen rows: the activations as its lanes read them, the products
// on the tensor cores, and the sums they are added to. Arithmetic: kernels/cpu/arithmetic.md.
#pragma once

#include "kernels/cuda/row_tiles.cuh"

namespace tessera::kernels::cuda {

inline constexpr int kTileTokens = 8;

// The activations of some units as one lane reads them: of each tile of 8 tokens, those of token lane / 4, and the
// scales of tokens 2 (lane % 4) and the next.
template <typename F, int kTokens, int kUnits>
struct TileInput {
  static constexpr int kTiles = kTokens / kTileTokens;
  static constexpr int kGroups = kUnits * kUnitValues / F::kGroup;
  Words2 codes[kTiles][kUnits * kUnitSlices];
  Words2 sums[kTiles][F::kGroup == kUnitValues ? kUnits : 1];
  float scales[kTiles][kGroups][2];

  // Of units `first` and on; where the row ends before, anything.
  TESSERA_DEVICE void load(const Activations& x, int first) {
    const int tile_rows = min_of(x.m, kTileTokens), n_slices = x.k / kSlice, n_groups = x.k / F::kGroup;
    TESSERA_UNROLL
    for (int i = 0; i < kTiles; ++i) {
      const int last = x.m - 1 - i * kTileTokens;
      // Row (tile, j of n) of 32 bytes: two words of the lane.
      const auto words = [&](Address from, int j, int n) {
        const int row = (i * n + min_of(j, n - 1)) * tile_rows + min_of(lane() / 4, min_of(last, kTileTokens - 1));
        return *cast<const Words2>(global<const uint8_t>(from) + (row * kSlice + 8 * (lane() % 4)));
      };
      TESSERA_UNROLL
      for (int s = 0; s < kUnits * kUnitSlices; ++s) codes[i][s] = words(x.q, first * kUnitSlices + s, n_slices);
      if constexpr (F::kGroup == kUnitValues) {
        TESSERA_UNROLL
        for (int u = 0; u < kUnits; ++u) sums[i][u] = words(x.sums, first + u, n_groups);
      }
      TESSERA_UNROLL
      for (int g = 0; g < kGroups; ++g) TESSERA_UNROLL
      for (int e = 0; e < 2; ++e) {
        const int token = i * kTileTokens + min_of(2 * (lane() % 4) + e, last);
        const int group = min_of(first * (kUnitValues / F::kGroup) + g, n_groups - 1);
        scales[i][g][e] = global<const float>(x.d)[token * n_groups + group];
      }
    }
  }
};

// Products of slice s of sixteen rows with eight columns: of each part of it that has its own scale.
template <typename F>
TESSERA_DEVICE void multiply_slice(const QuadPair<F, kUnitValues>& w, int s, const Words2& b,
                                   int32_t (&part)[F::kScales][4]) {
  if constexpr (F::kOddShift > 0) {
    const Words2 a0 = F::codes_in_place(w.row[0], s), a1 = F::codes_in_place(w.row[1], s);
    mma_unsigned_32(part[0], a0.word[0], a1.word[0], a0.word[1], a1.word[1], b.word[0], b.word[1]);
    return;
  }
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
  static constexpr int kTiles = kTokens / kTileTokens;
  float of[kTiles][4];
};

// A lane's sums as (tokens, rows) from its first token and row on: use(place, sum) for each.
template <int kTokens, typename Use>
TESSERA_DEVICE void for_sums(TileSums<kTokens>& acc, const Use& use) {
  TESSERA_UNROLL
  for (int i = 0; i < TileSums<kTokens>::kTiles; ++i) TESSERA_UNROLL
  for (int e = 0; e < 4; ++e) use((i * kTileTokens + e % 2) * kTileRows + e / 2 * 8, acc.of[i][e]);
}

// One block of 256 values, all integer inside.
template <typename F, int kTokens, int kUnits>
TESSERA_DEVICE void multiply_unit_of_256(const QuadPair<F, kUnitValues>& w, const TileInput<F, kTokens, kUnits>& x,
                                         int unit, TileSums<kTokens>& acc) {
  constexpr int kTiles = TileSums<kTokens>::kTiles;
  int32_t sum[kTiles][4] = {}, odd[kTiles][4] = {};  // odd: shifted left by kOddShift
  TESSERA_UNROLL
  for (int s = 0; s < kUnitSlices; ++s) {
    auto& to = F::kOddShift > 0 && s % 2 ? odd : sum;
    TESSERA_UNROLL
    for (int i = 0; i < kTiles; ++i) {
      int32_t part[F::kScales][4];
      multiply_slice(w, s, x.codes[i][unit * kUnitSlices + s], part);
      TESSERA_UNROLL
      for (int e = 0; e < 4; ++e) TESSERA_UNROLL
      for (int j = 0; j < F::kScales; ++j) to[i][e] += part[j][e] * F::integer_scale(w.row[e / 2], F::kScales * s + j);
    }
  }
  const uint32_t o0 = F::offset_word(w.row[0]), o1 = F::offset_word(w.row[1]);
  const float d[2] = {F::d(w.row[0]), F::d(w.row[1])}, dmin[2] = {F::dmin(w.row[0]), F::dmin(w.row[1])};
  TESSERA_UNROLL
  for (int i = 0; i < kTiles; ++i) {
    const Words2 b = x.sums[i][unit];  // of each 16 codes: the remainder and the quotient by 128
    int32_t low[4], high[4];
    mma_int8_16(low, o0, o1, b.word[0]);
    mma_int8_16(high, o0, o1, b.word[1]);
    TESSERA_UNROLL
    for (int e = 0; e < 4; ++e) {
      const int32_t offset = low[e] + 128 * high[e], both = sum[i][e] + (odd[i][e] >> F::kOddShift);
      if constexpr (F::kHasMin) {
        const float inner = d[e / 2] * static_cast<float>(both) - dmin[e / 2] * static_cast<float>(offset);
        acc.of[i][e] += x.scales[i][unit][e % 2] * inner;
      } else {
        acc.of[i][e] += d[e / 2] * x.scales[i][unit][e % 2] * static_cast<float>(both - F::kBias * offset);
      }
    }
  }
}

// Up to eight blocks of 32 values, each with scales of its own; of blocks past the end of the row they are 0.
template <typename F, int kTokens, int kUnits>
TESSERA_DEVICE void multiply_unit_of_32(const QuadPair<F, kUnitValues>& w, const TileInput<F, kTokens, kUnits>& x,
                                        int unit, TileSums<kTokens>& acc) {
  constexpr int kTiles = TileSums<kTokens>::kTiles;
  TESSERA_UNROLL
  for (int s = 0; s < kUnitSlices; ++s) {
    const int slice = unit * kUnitSlices + s;
    const float d[2] = {F::scale(w.row[0], s), F::scale(w.row[1], s)};
    TESSERA_UNROLL
    for (int i = 0; i < kTiles; ++i) {
      int32_t part[1][4];
      multiply_slice(w, s, x.codes[i][slice], part);
      TESSERA_UNROLL
      for (int e = 0; e < 4; ++e) acc.of[i][e] += d[e / 2] * x.scales[i][slice][e % 2] * static_cast<float>(part[0][e]);
    }
  }
}

template <typename F, int kTokens, int kUnits>
TESSERA_DEVICE void multiply_unit(const QuadPair<F, kUnitValues>& w, const TileInput<F, kTokens, kUnits>& x, int unit,
                                  TileSums<kTokens>& acc) {
  if constexpr (F::kValues == kUnitValues)
    multiply_unit_of_256(w, x, unit, acc);
  else
    multiply_unit_of_32(w, x, unit, acc);
}

}  // namespace tessera::kernels::cuda
