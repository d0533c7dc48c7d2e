// gguf_linear for 3 to 16 tokens with int8 activations, on the tensor cores' integer product, in one pass over the
// packed rows. Arithmetic: kernels/cpu/arithmetic.md. Bytes moved: the rows once (n row_bytes); activations come from
// the caches.
//
// A block takes a range of the units of all tiles of sixteen rows (matvec_shares.cuh), which its warps deal out among
// themselves, each with a ring of units in shared memory: kStages - 1 units of every warp are on their way all the
// time, from one tile to the next and, as weights do not depend on it, before the launch before this one has ended. A
// warp's product of 16 rows, 32 values and 8 tokens is one mma; what is integer in a block of 256 values stays so.
// Every few tiles the warps' parts are added, always in the same order.
#pragma once

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/matvec_shares.cuh"

namespace tessera::kernels::cuda {

// Of each block a multiprocessor's shared memory takes a kilobyte more than it asks for.
inline constexpr int kSharedOfBlock = 1024, kMostShared = 228 * 1024, kLeastShared = 100 * 1024;

// kTokens: 4, 8 or 16 tokens at most.
template <typename F, int kTokens, int kStagesOfRing>
struct MatvecShape {
  using U = Unit<F, kUnitValues>;
  static constexpr int kWarps = 8, kThreads = kWarps * kWarp, kStages = kStagesOfRing;
  static constexpr int kWarpBytes = kStages * U::kStageBytes, kRingBytes = kWarps * kWarpBytes;
  static constexpr int kTiles = (kTokens + kTileTokens - 1) / kTileTokens;  // of tokens
  // The warps' parts of as many tiles of rows as are finished together, floats (2, tiles, warps, tokens, 16 rows): the
  // half that is filled and the half that is added up.
  static constexpr int kGroup = 16 / kTokens, kPart = kTokens * kTileRows;
  static constexpr int kTurnFloats = kGroup * kWarps * kPart;
  static constexpr int kSharedBytes = kRingBytes + 2 * kTurnFloats * static_cast<int>(sizeof(float));
  // Blocks of a multiprocessor: one's beginning and end hide behind the others' middles, and those of the next launch
  // come as soon as there is room for one.
  static constexpr int kBlocks = 2;
};

// Adds the warps' parts of the tiles of a group and stores their outputs: a thread for each row below 8 and the one 8
// above it, and token. parts: (tiles, warps, tokens, rows).
template <typename F, typename S>
TESSERA_DEVICE void finish_tiles(const MatvecWork& work, const MatvecShare& share, int first_tile,
                                 Shared<const float> parts) {
  const LinearArgs& args = work.tiled.args;
  constexpr int kPairs = S::kPart / 2;
  for (int i = thread(); i < S::kGroup * kPairs; i += S::kThreads) {
    const int at = first_tile + i / kPairs, token = i % kPairs / 8, row_in_tile = i % 8;
    if (at > share.last_tile || token >= args.x.m) continue;
    if (at == share.first_tile && share.is_cut_before()) continue;
    const int place = token * kTileRows + row_in_tile;
    float low = 0, high = 0;
    TESSERA_UNROLL
    for (int w = 0; w < S::kWarps; ++w) {
      const auto part = parts + ((i / kPairs * S::kWarps + w) * S::kPart + place);
      low += part[0], high += part[8];
    }
    if (at == share.last_tile) take_parts<S>(work, share, place, low, high);
    const RowTile tile = RowTile::of<F>(work.tiled, at);
    const LinearJob& job = args.jobs[tile.job];
    const int row = tile.first + row_in_tile;
    const auto store = [&](int to, float value) {
      if (to >= job.n) return;
      const float bias = job.bias != 0 ? global<const float>(job.bias)[to] : 0.0f;
      store_float(job.out, job.out_element, int64_t{token} * job.n + to, value + bias);
    };
    if (job.gate != 0) {
      const float value = high * gelu_tanh(low);
      store(row, value);
      if (args.made.m != 0) leave_float(word_of_output(args, token, row), value);
    } else {
      store(row, low);
      store(row + kTileRows / 2, high);
    }
  }
}

template <typename F, int kTokens, int kStages>
TESSERA_KERNEL((MatvecShape<F, kTokens, kStages>::kThreads), (MatvecShape<F, kTokens, kStages>::kBlocks))
matvec_int8_kernel(MatvecWork work) {
  using S = MatvecShape<F, kTokens, kStages>;
  const auto memory = shared_memory();
  const auto parts = cast<float>(memory + S::kRingBytes);
  const MatvecShare share(work);
  UnitStream<F, S> stream(work, share, memory + warp() * S::kWarpBytes);
  TESSERA_LOOP
  for (int i = 0; i < S::kStages - 1; ++i) stream.copy_next();  // weights do not depend on the launch before
  wait_for_previous();
  let_next_start();  // attention after it reads what earlier launches wrote, and does not wait for that (words.cuh)
  const TokenCodes<kTokens> x(work.tiled.args.x);
  int unit = share.first_unit + warp(), turn = 0;
  const LanePlace mine;
  for (int first = share.first_tile; first <= share.last_tile; first += S::kGroup, turn ^= 1) {
    const auto of_turn = parts + turn * S::kTurnFloats;
    for (int tile = first; tile < min_of(first + S::kGroup, share.last_tile + 1); ++tile) {
      const RowTile place = RowTile::of<F>(work.tiled, tile);
      const Address rows[2] = {place.address(mine.row), place.address(mine.row + 8)};
      const int end = tile == share.last_tile ? share.end_unit : work.units_per_tile.value;
      TileSums<kTokens> acc = {};
      for (; unit < end; unit += S::kWarps) {
        wait_copies<S::kStages - 2>();
        sync_warp();         // every lane's part of this unit is there, and the unit before it has been read
        stream.copy_next();  // over the unit before it; this one's stage is the next
        const auto stage = stream.ring + stream.stage * S::U::kStageBytes;
        multiply_unit(QuadPair<F, kUnitValues>::fetch(stage, rows, unit, work.tiled.args.x.k, mine), x, unit, acc);
      }
      unit -= work.units_per_tile.value;
      if (tile == share.first_tile && share.is_cut_before()) {
        leave_part<F, S>(work, share, acc);
      } else {
        const auto part = of_turn + ((tile - first) * S::kWarps + warp()) * S::kPart;
        for_part<F>(acc, [&](int at, float value) { part[at] = value; });
      }
    }
    sync_block();  // the next group's parts go to the other half
    finish_tiles<F, S>(work, share, first, of_turn);
  }
  if (work.tiled.args.made.m == 0) return;
  sync_block();
  constexpr int kOutputs = kTileRows / 2;  // of a tile with a gate
  const int first = share.first_tile + (share.is_cut_before() ? 1 : 0);
  make_form_of_outputs(work.tiled.args, S::kWarps, first * kOutputs, (share.last_tile + 1) * kOutputs);
}

inline int blocks_that_fit(const Device& device, int shared_bytes) {
  return (device.shared_bytes + kSharedOfBlock) / (shared_bytes + kSharedOfBlock);
}

template <typename F, int kTokens, int kStages>
int launch_matvec_int8(Device& device, const LinearArgs& args, Failure* failure) {
  using S = MatvecShape<F, kTokens, kStages>;
  static_assert(S::kBlocks * S::kWarps * S::kPart * sizeof(uint32_t) <= kMatvecPartBytes);
  const int blocks = min_of_sizes(S::kBlocks, blocks_that_fit(device, S::kSharedBytes));
  const MatvecWork work(args, S::U::count(args.x.k), blocks * device.n_multiprocessors, S::kWarps);
  Launch shape;
  shape.threads = S::kThreads;
  shape.shared_bytes = S::kSharedBytes;
  shape.blocks.x = work.ranges.n_blocks;
  return launch(device, shape, matvec_int8_kernel<F, kTokens, kStages>, work, failure);
}

// Two stages of each warp are on their way at a time, or one where rings of three do not fit.
template <typename F, int kTokens>
int launch_matvec_int8(Device& device, const LinearArgs& args, Failure* failure) {
  using Large = MatvecShape<F, kTokens, 3>;
  static_assert(MatvecShape<F, kTokens, 2>::kSharedBytes + kSharedOfBlock <= kLeastShared);
  if constexpr (Large::kBlocks * (Large::kSharedBytes + kSharedOfBlock) <= kMostShared)
    if (blocks_that_fit(device, Large::kSharedBytes) >= Large::kBlocks)
      return launch_matvec_int8<F, kTokens, 3>(device, args, failure);
  return launch_matvec_int8<F, kTokens, 2>(device, args, failure);
}

template <typename F>
int matvec_int8(Device& device, const LinearArgs& args, Failure* failure) {
  if (args.parts == 0) return fail(failure, "matvec: no place for parts of tiles");
  if (args.x.m <= 4) return launch_matvec_int8<F, 4>(device, args, failure);
  if (args.x.m <= kTileTokens) return launch_matvec_int8<F, 8>(device, args, failure);
  return launch_matvec_int8<F, 16>(device, args, failure);
}

}  // namespace tessera::kernels::cuda
