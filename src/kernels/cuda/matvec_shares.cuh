// How a launch of the int8 decode is dealt out: its units, tile after tile, are one list that is cut into equal ranges,
// one a block. Whole tiles would not do: ten or eleven of them, or two or three, are up to a third of a launch between
// the first block that ends and the last.
//
// A tile may lie in several ranges. The block that has its first unit finishes it: the others leave their warps' parts
// in device memory as soon as they have them, which is early, as the tile is the first of their range. A part is its
// own flag (matvec_form.cuh), and whoever takes one leaves 0 for the next launch. So a block waits only for blocks
// before it, which have begun and wait for nothing before they leave their parts.
#pragma once

#include "kernels/cuda/division.cuh"
#include "kernels/cuda/matvec_form.cuh"
#include "kernels/cuda/matvec_products.cuh"

namespace tessera::kernels::cuda {

// A launch's units, counted on the host.
struct MatvecWork {
  TiledLinear tiled;
  Divisor units_per_tile;
  BlockRanges ranges;  // of units

  // For most_blocks at most, of which none shall have less than least_units without need.
  MatvecWork(const LinearArgs& args, int units_of_row, int most_blocks, int least_units)
      : tiled(args), units_per_tile(divisor_of(units_of_row)) {
    const int total = tiled.tiles.n() * units_of_row;
    ranges = BlockRanges(total, min_of_sizes(most_blocks, pieces_of(total, least_units)));
  }
};

// The range of this block: from first_unit of first_tile to the unit before end_unit of last_tile.
struct MatvecShare {
  int range, n_units;
  int first_tile, first_unit, last_tile, end_unit;

  TESSERA_DEVICE explicit MatvecShare(const MatvecWork& work) {
    range = work.ranges.of_this_block();
    n_units = work.ranges.size(range);
    const int first = work.ranges.begin(range), last = first + n_units - 1;
    first_tile = quotient(first, work.units_per_tile), last_tile = quotient(last, work.units_per_tile);
    first_unit = first - first_tile * work.units_per_tile.value;
    end_unit = last - last_tile * work.units_per_tile.value + 1;
  }
  // The first tile is another block's to finish.
  TESSERA_DEVICE bool is_cut_before() const { return first_unit > 0; }
};

// The units of a block's range as one warp copies them: every S::kWarps-th.
template <typename F, typename S>
struct UnitStream {
  using Unit = typename S::U;
  const MatvecWork& work;
  Shared<uint8_t> ring;
  typename Unit::Source source;
  int tile, unit, left, stage = 0;  // what is copied next; `left` units from it to the end of the range

  TESSERA_DEVICE UnitStream(const MatvecWork& of, const MatvecShare& share, Shared<uint8_t> memory)
      : work(of), ring(memory) {
    tile = share.first_tile - 1, unit = share.first_unit + warp() + work.units_per_tile.value;
    left = share.n_units - warp();
  }
  // Starts the copy of the next unit, if there is one, and closes its group in any case.
  TESSERA_DEVICE void copy_next() {
    if (unit >= work.units_per_tile.value) {
      while (unit >= work.units_per_tile.value) unit -= work.units_per_tile.value, ++tile;
      if (left > 0) source.set(RowTile::of<F>(work.tiled, tile));
    }
    if (left > 0) source.copy(unit, ring + stage * Unit::kStageBytes);
    unit += S::kWarps, left -= S::kWarps;
    commit_copies();
    stage = stage + 1 == S::kStages ? 0 : stage + 1;
  }
};

// This warp's part of a tile, (tokens, rows): put(place, value) for each.
template <typename F, int kTokens, typename Put>
TESSERA_DEVICE void for_part(const TileSums<kTokens>& acc, const Put& put) {
  const int row = lane() / 4, token = 2 * (lane() % 4);
  TESSERA_UNROLL
  for (int i = 0; i < TileSums<kTokens>::kTiles; ++i) TESSERA_UNROLL
  for (int e = 0; e < 4; ++e)
    if (kTokens >= kTileTokens || token < kTokens)
      put((i * kTileTokens + token + e % 2) * kTileRows + row + e / 2 * 8, acc.of[i][e] * (1.0f / F::kCodeFactor));
}

// Where the parts lie that the block of a range leaves for another: words (warps, tokens, rows).
template <typename S>
TESSERA_DEVICE Global<uint32_t> parts_of_range(const MatvecWork& work, int range) {
  return global<uint32_t>(work.tiled.args.parts) + range * (S::kWarps * S::kPart);
}

// Leaves this warp's part of the first tile to the block that has its first unit. Of tokens that are there: nobody
// takes the others.
template <typename F, typename S, int kTokens>
TESSERA_DEVICE void leave_part(const MatvecWork& work, const MatvecShare& share, const TileSums<kTokens>& acc) {
  const auto words = parts_of_range<S>(work, share.range) + warp() * S::kPart;
  for_part<F>(acc, [&](int place, float value) {
    if (place < work.tiled.args.x.m * kTileRows) leave_float(words + place, value);
  });
}

// Adds to two places of a tile what the blocks of later ranges have of it: of the last tile of `share`.
template <typename S>
TESSERA_DEVICE void take_parts(const MatvecWork& work, const MatvecShare& share, int place, float& low, float& high) {
  int range = share.range + 1;
  for (int done = share.end_unit; done < work.units_per_tile.value; done += work.ranges.size(range), ++range) {
    const auto words = parts_of_range<S>(work, range) + place;
    float parts[2 * S::kWarps];  // (warps, 2)
    take_floats([&](int i) { return words + (i / 2 * S::kPart + i % 2 * 8); }, parts);
    TESSERA_UNROLL
    for (int w = 0; w < S::kWarps; ++w) low += parts[2 * w], high += parts[2 * w + 1];
  }
}

}  // namespace tessera::kernels::cuda
