// gguf_linear for up to 16 tokens with int8 activations, on the tensor cores' integer product, in one pass over the
// packed rows. Arithmetic: kernels/cpu/arithmetic.md. Bytes moved: the rows once (n row_bytes); activations come from
// the caches.
//
// A block takes tiles of sixteen rows, one after the other. The units of its tiles are one long list that its warps
// deal out among themselves, each with a ring of units in shared memory: kStages - 1 units of every warp are on their
// way all the time, from one tile to the next and, as weights do not depend on it, before the launch before this one
// has ended. A warp's product of 16 rows, 32 values and 8 tokens is one mma; what is integer in a block of 256 values
// stays so. Every few tiles the warps' parts are added, always in the same order.
#pragma once

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/matvec_products.cuh"

namespace tessera::kernels::cuda {

// kTokens: 1, 4, 8 or 16 tokens at most.
template <typename F, int kTokens, int kWarpsOfBlock>
struct MatvecShape {
  using U = Unit<F, kUnitValues>;
  static constexpr int kWarps = kWarpsOfBlock, kThreads = kWarps * kWarp;
  static constexpr int kStages = kWarps == 16 && 3 * kWarps * U::kStageBytes <= 190 * 1024 ? 3 : 2;
  static constexpr int kWarpBytes = kStages * U::kStageBytes, kRingBytes = kWarps * kWarpBytes;
  static constexpr int kTiles = (kTokens + kTileTokens - 1) / kTileTokens;  // of tokens
  // The warps' parts of as many tiles of rows as are finished together, floats (2, tiles, warps, tokens, 16 rows): the
  // half that is filled and the half that is added up.
  static constexpr int kGroup = kTokens == 1 ? 8 : 16 / kTokens, kPart = kTokens * kTileRows;
  static constexpr int kTurnFloats = kGroup * kWarps * kPart;
  static constexpr int kSharedBytes = kRingBytes + 2 * kTurnFloats * static_cast<int>(sizeof(float));
};

// The units of a block's tiles in order; a warp's are every S::kWarps-th.
template <typename F, typename S>
struct UnitStream {
  const TiledLinear& tiled;
  Shared<uint8_t> ring;
  int units_per_tile;
  typename S::U::Source source;
  int at_tile, unit, stage = 0;  // what is copied next; a unit past the end of its tile belongs to the block's next one

  TESSERA_DEVICE UnitStream(const TiledLinear& t, Shared<uint8_t> memory)
      : tiled(t), ring(memory), units_per_tile(S::U::count(t.args.x.k)) {
    at_tile = block_x() - n_blocks_x(), unit = warp() + units_per_tile;
  }
  // Starts the copy of the next unit, if there is one, and closes its group in any case.
  TESSERA_DEVICE void copy_next() {
    if (unit >= units_per_tile) {
      while (unit >= units_per_tile) unit -= units_per_tile, at_tile += n_blocks_x();
      if (at_tile < tiled.n_tiles()) source.set(RowTile::of<F>(tiled, at_tile));
    }
    if (at_tile < tiled.n_tiles()) source.copy(unit, ring + stage * S::U::kStageBytes);
    unit += S::kWarps;
    commit_copies();
    stage = stage + 1 == S::kStages ? 0 : stage + 1;
  }
};

// This warp's part of a tile.
template <typename F, int kTokens>
TESSERA_DEVICE void store_part(const TileSums<kTokens>& acc, Shared<float> part) {
  const int row = lane() / 4, token = 2 * (lane() % 4);
  TESSERA_UNROLL
  for (int i = 0; i < TileSums<kTokens>::kTiles; ++i) TESSERA_UNROLL
  for (int e = 0; e < 4; e += TileSums<kTokens>::kStep)
    if (kTokens >= kTileTokens || token < kTokens)
      part[(i * kTileTokens + token + e % 2) * kTileRows + row + e / 2 * 8] = acc.of[i][e] * (1.0f / F::kCodeFactor);
}

// Adds the warps' parts of the tiles of a group and stores their outputs: a thread for each row below 8 and the one 8
// above it, and token. parts: (tiles, warps, tokens, rows).
template <typename F, typename S>
TESSERA_DEVICE void finish_tiles(const TiledLinear& tiled, int first_tile, Shared<const float> parts) {
  const LinearArgs& args = tiled.args;
  constexpr int kPairs = S::kPart / 2;
  for (int i = thread(); i < S::kGroup * kPairs; i += S::kThreads) {
    const int at = first_tile + i / kPairs * n_blocks_x(), token = i % kPairs / 8, row_in_tile = i % 8;
    if (at >= tiled.n_tiles() || token >= args.x.m) continue;
    float low = 0, high = 0;
    TESSERA_UNROLL
    for (int w = 0; w < S::kWarps; ++w) {
      const auto part = parts + ((i / kPairs * S::kWarps + w) * S::kPart + token * kTileRows + row_in_tile);
      low += part[0], high += part[8];
    }
    const RowTile tile = RowTile::of<F>(tiled, at);
    const LinearJob& job = args.jobs[tile.job];
    const int row = tile.first + row_in_tile;
    const auto store = [&](int to, float value) {
      if (to >= job.n) return;
      const float bias = job.bias != 0 ? global<const float>(job.bias)[to] : 0.0f;
      store_float(job.out, job.out_element, int64_t{token} * job.n + to, value + bias);
    };
    if (job.gate != 0) {
      store(row, high * gelu_tanh(low));
    } else {
      store(row, low);
      store(row + kTileRows / 2, high);
    }
  }
}

template <typename F, int kTokens, int kWarps>
TESSERA_KERNEL(kWarps* kWarp, 1)
matvec_int8_kernel(TiledLinear tiled) {
  using S = MatvecShape<F, kTokens, kWarps>;
  const auto memory = shared_memory();
  const auto parts = cast<float>(memory + S::kRingBytes);
  UnitStream<F, S> stream(tiled, memory + warp() * S::kWarpBytes);
  TESSERA_LOOP
  for (int i = 0; i < S::kStages - 1; ++i) stream.copy_next();  // weights do not depend on the launch before
  let_next_start();
  wait_for_previous();
  const TokenCodes<kTokens> x(tiled.args.x);
  const int n_units = stream.units_per_tile, n_tiles = tiled.n_tiles();
  int stage = 0, unit = warp(), turn = 0;
  for (int first = block_x(); first < n_tiles; first += S::kGroup * n_blocks_x(), turn ^= 1) {
    const auto of_turn = parts + turn * S::kTurnFloats;
    for (int in_group = 0; in_group < S::kGroup; ++in_group, unit -= n_units) {
      const int at = first + in_group * n_blocks_x();
      if (at >= n_tiles) break;
      const RowTile tile = RowTile::of<F>(tiled, at);
      const Address rows[2] = {tile.address(lane() / 4), tile.address(lane() / 4 + 8)};
      TileSums<kTokens> acc = {};
      for (; unit < n_units; unit += S::kWarps) {
        wait_copies<S::kStages - 2>();
        sync_warp();         // every lane's part of this unit is there, and the unit before it has been read
        stream.copy_next();  // over the unit before it
        const auto w =
            QuadPair<F, kUnitValues>::fetch(stream.ring + stage * S::U::kStageBytes, rows, unit, tiled.args.x.k);
        if constexpr (F::kValues == kUnitValues)
          multiply_unit_of_256<F, kTokens>(w, x, unit, acc);
        else
          multiply_unit_of_32<F, kTokens>(w, x, unit, acc);
        stage = stage + 1 == S::kStages ? 0 : stage + 1;
      }
      store_part<F, kTokens>(acc, of_turn + (in_group * S::kWarps + warp()) * S::kPart);
    }
    sync_block();  // the next group's parts go to the other half
    finish_tiles<F, S>(tiled, first, of_turn);
  }
}

template <typename F, int kTokens, int kWarps>
int launch_matvec_int8(Device& device, const LinearArgs& args, Failure* failure) {
  using S = MatvecShape<F, kTokens, kWarps>;
  Launch shape;
  shape.threads = S::kThreads;
  shape.shared_bytes = S::kSharedBytes;
  const TiledLinear tiled(args);
  shape.blocks.x = min_of_sizes(tiled.n_tiles(), device.n_multiprocessors);
  return launch(device, shape, matvec_int8_kernel<F, kTokens, kWarps>, tiled, failure);
}

// Sixteen warps keep the memory busy; cards with less shared memory hold the rings of eight.
template <typename F, int kTokens>
int launch_matvec_int8(Device& device, const LinearArgs& args, Failure* failure) {
  if (device.shared_bytes >= MatvecShape<F, kTokens, 16>::kSharedBytes)
    return launch_matvec_int8<F, kTokens, 16>(device, args, failure);
  return launch_matvec_int8<F, kTokens, 8>(device, args, failure);
}

template <typename F>
int matvec_int8(Device& device, const LinearArgs& args, Failure* failure) {
  if (args.x.group != F::kGroup) return fail(failure, "matvec: activations quantized in groups of another size");
  for (int i = 0; i < args.n_jobs; ++i)
    if (args.jobs[i].gate != 0 && args.jobs[i].bias != 0) return fail(failure, "matvec: a gated job has no bias");
  if (args.x.m == 1) return launch_matvec_int8<F, 1>(device, args, failure);
  if (args.x.m <= 4) return launch_matvec_int8<F, 4>(device, args, failure);
  if (args.x.m <= kTileTokens) return launch_matvec_int8<F, 8>(device, args, failure);
  return launch_matvec_int8<F, 16>(device, args, failure);
}

}  // namespace tessera::kernels::cuda
