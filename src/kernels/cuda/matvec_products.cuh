// What a warp of the int8 decode does with a unit of sixteen rows: the activations as its lanes read them, the products
// on the tensor cores, and the sums they are added to. Arithmetic: kernels/cpu/arithmetic.md.
#pragma once

#include "kernels/cuda/row_tiles.cuh"

namespace tessera::kernels::cuda {

inline constexpr int kTileTokens = 8;

// Whose a product's eight columns are. With up to four tokens there are two for each: column c is of token c % 4 and of
// side c / 4 of the values, so that one product has the sums of values with different scales, and all of them are of
// use. Sides are neighbouring slices or, where these have two scales, their halves; a side's columns are 0 where the
// other one's values are.
template <int kTokens>
struct Columns {
  static constexpr int kTiles = (kTokens + kTileTokens - 1) / kTileTokens;
  static constexpr int kTokensOfTile = kTokens / kTiles, kSides = kTileTokens / kTokensOfTile;
  int token, side;          // of the column that a lane has of the activations
  int sum_token, sum_side;  // of the two columns that it has of the sums: those of this token and the next
  TESSERA_DEVICE explicit Columns(const LanePlace& mine)
      : token(mine.row & (kTokensOfTile - 1)),
        side(kSides == 1 ? 0 : mine.row / kTokensOfTile),
        sum_token(2 * mine.quarter & (kTokensOfTile - 1)),
        sum_side(kSides == 1 ? 0 : 2 * mine.quarter / kTokensOfTile) {}
};

// The activations of some units as one lane reads them: of each tile of 8 tokens its column, and the scales of its
// sums.
template <typename F, int kTokens, int kUnits>
struct TileInput {
  using C = Columns<kTokens>;
  static constexpr int kTiles = C::kTiles;
  static constexpr int kGroups = F::kGroup == kUnitValues ? kUnits : kUnits * kUnitSlices / C::kSides;
  // Of each slice both words. With sides one of the two is 0, and the other: of two neighbouring slices the first word
  // of the lane's own, then the second one; or, where slices have two scales, of each the lane's own word.
  Words2 codes[kTiles][kUnits * kUnitSlices];
  Words2 sums[kTiles][F::kGroup == kUnitValues ? kUnits : 1];  // with sides the remainders or the quotients, twice
  float scales[kTiles][kGroups][2];

  // Of units `first` and on; where the row ends before, anything.
  TESSERA_DEVICE void load(const Activations& x, int first, const LanePlace& place) {
    const C mine(place);
    const int tile_rows = min_of(x.m, kTileTokens), n_slices = x.k / kSlice, n_groups = x.k / F::kGroup;
    const auto pick = [&](const Words2& words) { return mine.side == 0 ? words.word[0] : words.word[1]; };
    TESSERA_UNROLL
    for (int i = 0; i < kTiles; ++i) {
      const int last = x.m - 1 - i * kTileTokens;
      // Row (tile, j of n) of 32 bytes: two words of the lane.
      const auto words = [&](Address from, int j, int n) {
        const int row = (i * n + min_of(j, n - 1)) * tile_rows + min_of(mine.token, min_of(last, kTileTokens - 1));
        return *cast<const Words2>(global<const uint8_t>(from) + (row * kSlice + 8 * place.quarter));
      };
      TESSERA_UNROLL
      for (int s = 0; s < kUnits * kUnitSlices; ++s) {
        const int slice = first * kUnitSlices + s;
        if constexpr (C::kSides == 1) {
          codes[i][s] = words(x.q, slice, n_slices);
        } else {
          const uint32_t word = F::kScales == 2 ? pick(words(x.q, slice, n_slices))
                                                : words(x.q, slice - s % 2 + mine.side, n_slices).word[s % 2];
          codes[i][s] = {{mine.side == 0 ? word : 0, mine.side == 0 ? 0 : word}};
        }
      }
      if constexpr (F::kGroup == kUnitValues) {
        TESSERA_UNROLL
        for (int u = 0; u < kUnits; ++u) {
          const Words2 both = words(x.sums, first + u, n_groups);
          sums[i][u] = C::kSides == 1 ? both : Words2{{pick(both), pick(both)}};
        }
      }
      TESSERA_UNROLL
      for (int g = 0; g < kGroups; ++g) TESSERA_UNROLL
      for (int e = 0; e < 2; ++e) {
        const int token = i * kTileTokens + min_of(mine.sum_token + e, last);
        const int group =
            first * (kUnitValues / F::kGroup) + (F::kGroup == kUnitValues ? g : g * C::kSides + mine.sum_side);
        scales[i][g][e] = global<const float>(x.d)[token * n_groups + min_of(group, n_groups - 1)];
      }
    }
  }
};

// Sums of a lane, as a product has them: rows lane / 4 and + 8, two columns: of[i][e] is of row e / 2, column e % 2 of
// token tile i. With sides there is another lane with the same sums of the other side, and each keeps one row's.
template <int kTokens>
struct TileSums {
  using C = Columns<kTokens>;
  static constexpr int kKept = 4 / C::kSides;
  float of[C::kTiles][4] = {};

  // Those that the lane keeps, from and to a tile of (tokens, rows).
  TESSERA_DEVICE void load(Shared<const float> tile, const LanePlace& mine) {
    const bool is_second = C(mine).sum_side != 0;
    for_kept(mine, [&](int place, int i, int e) {
      const float sum = tile[place];
      of[i][e] = is_second ? 0.0f : sum;
      if constexpr (C::kSides == 2) of[i][2 + e] = is_second ? sum : 0.0f;
    });
  }
  TESSERA_DEVICE void store(Shared<float> tile, const LanePlace& mine) const {
    const bool is_second = C(mine).sum_side != 0;
    for_kept(mine, [&](int place, int i, int e) {
      float sum = of[i][e];
      if constexpr (C::kSides == 2) {
        const float low = of[i][e], high = of[i][2 + e];
        sum = (is_second ? high : low) + shuffle_xor(is_second ? low : high, 2);
      }
      store_for_others(tile + place, sum);
    });
  }

 private:
  // use(place in a tile, i, e)
  template <typename Use>
  TESSERA_DEVICE static void for_kept(const LanePlace& mine, const Use& use) {
    const C columns(mine);
    const int first = columns.sum_token * kTileRows + mine.row + 8 * columns.sum_side;
    TESSERA_UNROLL
    for (int i = 0; i < C::kTiles; ++i) TESSERA_UNROLL
    for (int e = 0; e < kKept; ++e) use(first + (i * kTileTokens + e % 2) * kTileRows + e / 2 * 8, i, e);
  }
};

// sum += 16 rows of 32 codes, or of two times 16, by their columns.
template <typename F>
TESSERA_DEVICE void multiply_codes(int32_t (&sum)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3,
                                   const Words2& b) {
  if constexpr (F::kOddShift > 0)
    mma_unsigned_32(sum, a0, a1, a2, a3, b.word[0], b.word[1]);
  else
    mma_int8_32(sum, a0, a1, a2, a3, b.word[0], b.word[1]);
}
template <typename F, typename Quad>
TESSERA_DEVICE Words2 codes_of(const Quad& quad, int s) {
  if constexpr (F::kOddShift > 0)
    return F::codes_in_place(quad, s);
  else
    return F::codes(quad, s);
}

// Products of slice s of sixteen rows with eight columns: of each part of it that has its own scale.
template <typename F>
TESSERA_DEVICE void multiply_slice(const QuadPair<F, kUnitValues>& w, int s, const Words2& b,
                                   int32_t (&part)[F::kScales][4]) {
  const Words2 a0 = codes_of<F>(w.row[0], s), a1 = codes_of<F>(w.row[1], s);
  if constexpr (F::kScales == 1) {
    multiply_codes<F>(part[0], a0.word[0], a1.word[0], a0.word[1], a1.word[1], b);
  } else {
    mma_int8_16(part[0], a0.word[0], a1.word[0], b.word[0]);
    mma_int8_16(part[1], a0.word[1], a1.word[1], b.word[1]);
  }
}

// With sides: products of the values that scales 2 pair and 2 pair + 1 are of.
template <typename F, int kTokens, int kUnits>
TESSERA_DEVICE void multiply_pair(const QuadPair<F, kUnitValues>& w, const TileInput<F, kTokens, kUnits>& x, int unit,
                                  int pair, int32_t (&sum)[4]) {
  const auto* b = x.codes[0] + unit * kUnitSlices;
  if constexpr (F::kScales == 2) {
    const Words2 a0 = F::codes(w.row[0], pair), a1 = F::codes(w.row[1], pair);
    multiply_codes<F>(sum, a0.word[0], a1.word[0], a0.word[1], a1.word[1], b[pair]);
  } else {
    const Words2 even0 = codes_of<F>(w.row[0], 2 * pair), odd0 = codes_of<F>(w.row[0], 2 * pair + 1);
    const Words2 even1 = codes_of<F>(w.row[1], 2 * pair), odd1 = codes_of<F>(w.row[1], 2 * pair + 1);
    TESSERA_UNROLL
    for (int i = 0; i < 2; ++i)
      multiply_codes<F>(sum, even0.word[i], even1.word[i], odd0.word[i], odd1.word[i], b[2 * pair + i]);
  }
}

// Adds what the integers of a unit of 256 come to: sums of products, and of offsets.
template <typename F>
TESSERA_DEVICE void add_scaled(const QuadPair<F, kUnitValues>& w, const int32_t (&sum)[4], const int32_t (&offset)[4],
                               const float (&x_scales)[2], float (&acc)[4]) {
  TESSERA_UNROLL
  for (int e = 0; e < 4; ++e) {
    const auto& row = w.row[e / 2];
    if constexpr (F::kHasMin) {
      const float inner = F::d(row) * static_cast<float>(sum[e]) - F::dmin(row) * static_cast<float>(offset[e]);
      acc[e] += x_scales[e % 2] * inner;
    } else {
      acc[e] += F::d(row) * x_scales[e % 2] * static_cast<float>(sum[e] - F::kBias * offset[e]);
    }
  }
}

// One block of 256 values, all integer inside.
template <typename F, int kTokens, int kUnits>
TESSERA_DEVICE void multiply_unit_of_256(const QuadPair<F, kUnitValues>& w, const TileInput<F, kTokens, kUnits>& x,
                                         int unit, TileSums<kTokens>& acc) {
  constexpr int kTiles = Columns<kTokens>::kTiles;
  const auto scale = [&](int row, int i) { return signed_byte(F::integer_scales(w.row[row])[i / 4], i % 4); };
  int32_t sum[kTiles][4] = {}, odd[kTiles][4] = {};  // odd: shifted left by kOddShift
  TESSERA_UNROLL
  for (int s = 0; s < kUnitSlices; ++s) {
    auto& to = F::kOddShift > 0 && s % 2 ? odd : sum;
    TESSERA_UNROLL
    for (int i = 0; i < kTiles; ++i) {
      int32_t part[F::kScales][4] = {};
      multiply_slice(w, s, x.codes[i][unit * kUnitSlices + s], part);
      TESSERA_UNROLL
      for (int e = 0; e < 4; ++e) TESSERA_UNROLL
      for (int j = 0; j < F::kScales; ++j) to[i][e] += part[j][e] * scale(e / 2, F::kScales * s + j);
    }
  }
  TESSERA_UNROLL
  for (int i = 0; i < kTiles; ++i) {
    const Words2 b = x.sums[i][unit];  // of each 16 codes: the remainder and the quotient by 128
    int32_t low[4] = {}, high[4] = {};
    mma_int8_16(low, F::offset_word(w.row[0]), F::offset_word(w.row[1]), b.word[0]);
    mma_int8_16(high, F::offset_word(w.row[0]), F::offset_word(w.row[1]), b.word[1]);
    TESSERA_UNROLL
    for (int e = 0; e < 4; ++e) sum[i][e] += odd[i][e] >> F::kOddShift, low[e] += 128 * high[e];
    add_scaled<F>(w, sum[i], low, x.scales[i][unit], acc.of[i]);
  }
}
// The same with sides, of which the lane's sums are of `side`.
template <typename F, int kTokens, int kUnits>
TESSERA_DEVICE void multiply_sides_of_256(const QuadPair<F, kUnitValues>& w, const TileInput<F, kTokens, kUnits>& x,
                                          int unit, int side, TileSums<kTokens>& acc) {
  constexpr int kPairs = kUnitSlices * F::kScales / 2;
  uint32_t scales[2][kPairs / 4];  // of the side: bytes
  TESSERA_UNROLL
  for (int row = 0; row < 2; ++row) TESSERA_UNROLL
  for (int i = 0; i < kPairs / 4; ++i) {
    const auto& all = F::integer_scales(w.row[row]);
    scales[row][i] = permute_bytes(all[2 * i], all[2 * i + 1], side == 0 ? 0x6420 : 0x7531);
  }
  int32_t sum[4] = {}, offset[4] = {};
  TESSERA_UNROLL
  for (int pair = 0; pair < kPairs; ++pair) {
    int32_t part[4] = {};
    multiply_pair(w, x, unit, pair, part);
    TESSERA_UNROLL
    for (int e = 0; e < 4; ++e) sum[e] += part[e] * signed_byte(scales[e / 2][pair / 4], pair % 4);
  }
  mma_int8_16(offset, F::offset_word(w.row[0]), F::offset_word(w.row[1]), x.sums[0][unit].word[0]);
  TESSERA_UNROLL
  for (int e = 0; e < 4; ++e) sum[e] >>= F::kOddShift * side, offset[e] <<= 7 * side;
  add_scaled<F>(w, sum, offset, x.scales[0][unit], acc.of[0]);
}

// Up to eight blocks of 32 values, each with scales of its own; of blocks past the end of the row they are 0.
template <typename F, int kTokens, int kUnits>
TESSERA_DEVICE void multiply_unit_of_32(const QuadPair<F, kUnitValues>& w, const TileInput<F, kTokens, kUnits>& x,
                                        int unit, TileSums<kTokens>& acc) {
  using C = Columns<kTokens>;
  constexpr int kGroups = kUnitSlices / C::kSides;
  TESSERA_UNROLL
  for (int g = 0; g < kGroups; ++g) {
    const float d[2] = {F::scale(w.row[0], g), F::scale(w.row[1], g)};
    TESSERA_UNROLL
    for (int i = 0; i < C::kTiles; ++i) {
      int32_t sum[1][4] = {};
      if constexpr (C::kSides == 1)
        multiply_slice(w, g, x.codes[i][unit * kUnitSlices + g], sum);
      else
        multiply_pair(w, x, unit, g, sum[0]);
      TESSERA_UNROLL
      for (int e = 0; e < 4; ++e)
        acc.of[i][e] += d[e / 2] * x.scales[i][unit * kGroups + g][e % 2] * static_cast<float>(sum[0][e]);
    }
  }
}

template <typename F, int kTokens, int kUnits>
TESSERA_DEVICE void multiply_unit(const QuadPair<F, kUnitValues>& w, const TileInput<F, kTokens, kUnits>& x, int unit,
                                  int side, TileSums<kTokens>& acc) {
  if constexpr (F::kValues != kUnitValues)
    multiply_unit_of_32(w, x, unit, acc);
  else if constexpr (Columns<kTokens>::kSides == 1)
    multiply_unit_of_256(w, x, unit, acc);
  else
    multiply_sides_of_256(w, x, unit, side, acc);
}

}  // namespace tessera::kernels::cuda
