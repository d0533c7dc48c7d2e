// gguf_linear for 3 to 16 tokens with int8 activations, on the tensor cores' integer product, in one pass over the
// packed rows. Arithmetic: kernels/cpu/arithmetic.md. Bytes moved: the rows once (n row_bytes); activations come from
// the caches, once for each block.
//
// How it is dealt out, and what a reader is: matvec_tiles.cuh. A reader's product of 16 rows, 32 values and 8 tokens is
// one mma; with up to 4 tokens an mma has values with two scales (Columns). What is integer in a block of 256 values
// stays so.
#pragma once

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/matvec_sums.cuh"

namespace tessera::kernels::cuda {

// By the copying warp: all stages, each when its slot has been read.
TESSERA_DEVICE void copy_stages(const TileWork& work, const TileBlock& block, const StageMemory& memory) {
  Stage ahead(work);
  TESSERA_LOOP
  for (int i = 0; i < work.n_slots; ++i) {  // weights do not depend on the launch before
    // Paced, each when the one before has arrived: see PartStream::fill.
    if (work.is_paced && i > 0 && ahead.pass < work.n_passes) Barrier(memory.copies.full + (i - 1)).wait(0);
    copy_stage(work, block, memory, ahead);
    ahead.next(work);
  }
  wait_for_previous();
  let_next_start();  // attention after it reads what earlier launches wrote, and does not wait for that (words.cuh)
  TESSERA_LOOP
  for (Stage stage(work); ahead.pass < work.n_passes; stage.next(work), ahead.next(work)) {
    Barrier(memory.copies.read + stage.slot).wait(stage.use);
    copy_stage(work, block, memory, ahead);
  }
}

// A warp that multiplies.
template <typename F, int kTokens, bool is_whole>
class TileReader {
  using S = TileShape<F, kTokens>;
  using C = Columns<kTokens>;

 public:
  TESSERA_DEVICE TileReader(const TileWork& work, const TileBlock& block, const StageMemory& memory)
      : work_(work),
        block_(block),
        memory_(memory),
        team_(quotient(warp(), work.parts_of_piece)),
        part_of_piece_(warp() - team_ * work.parts_of_piece.value) {}

  // All stages; and of each, when the next one has been multiplied, its share of adding them up.
  TESSERA_DEVICE void run() {
    Adder<F, S> adder(work_, block_, memory_);
    Stage last(work_);
    TESSERA_LOOP
    for (Stage stage(work_);; last = stage, stage.next(work_)) {
      const bool is_first = stage.use + stage.slot == 0, is_over = stage.pass == work_.n_passes;
      if (stage.is_first_of_pass(work_) && !is_over) load_input(stage.pass);
      if (!is_over) {
        Barrier(memory_.copies.full + stage.slot).wait(stage.use);
        multiply(stage);
        Barrier(memory_.copies.read + stage.slot).arrive();
      }
      if (!is_first) adder.add(last);
      if (is_over) break;
    }
  }

 private:
  TESSERA_DEVICE void load_input(int pass) {
    const int before = part_of_piece_ * work_.units_of_part;
    first_unit_ = block_.first_unit(work_, pass) + before;
    n_units_ =
        min_of(work_.units_of_part, block_.n_units(work_, pass) - before);  // 0 or less: the piece has fewer parts
    x_.load(work_.args.x, min_of(first_unit_, work_.n_units - 1), mine_);
  }
  // Of the team's tile, if it has rows.
  TESSERA_DEVICE void multiply(const Stage& stage) const {
    const int last = block_.n_weights - 1 - stage.row - team_ * kTileRows;
    if (n_units_ <= 0 || last < 0) return;
    const auto place = cast<float>(memory_.ring + work_.n_slots * work_.slot_bytes) +
                       (stage.sum_slot * work_.n_readers + warp()) * S::kTileFloats;
    TileSums<kTokens> acc;
    if (stage.pass > 0) acc.load(place, mine_);
    TESSERA_UNROLL
    for (int u = 0; u < S::kPartUnits; ++u)
      if (u < n_units_) multiply_unit(fetch(stage, last, u), x_, u, C(mine_).sum_side, acc);
    acc.store(place, mine_);
  }
  // The u-th unit of the part, of the lane's two rows; rows past the last one repeat it.
  TESSERA_DEVICE QuadPair<F, kUnitValues> fetch(const Stage& stage, int last, int u) const {
    QuadPair<F, kUnitValues> out;
    TESSERA_UNROLL
    for (int i = 0; i < 2; ++i) {
      const int row = team_ * kTileRows + min_of(mine_.row + 8 * i, last);
      const int lead = lead_of<is_whole>(memory_.leads[stage.slot * work_.stage_rows + row]);
      const int before = (part_of_piece_ * work_.units_of_part + u) * S::U::kBytes;
      const int n_slices = is_whole ? kUnitSlices : work_.args.x.k / kSlice - (first_unit_ + u) * kUnitSlices;
      out.row[i] = F::template fetch_quad<kUnitSlices, C::kSides>(
          memory_.ring + (stage.slot * work_.slot_bytes + row * work_.row_stride), lead + before, mine_.quarter,
          n_slices, C(mine_).sum_side);
    }
    return out;
  }

  const TileWork& work_;
  const TileBlock& block_;
  const StageMemory& memory_;
  const LanePlace mine_;
  int team_, part_of_piece_;
  int first_unit_ = 0, n_units_ = 0;  // of the part
  TileInput<F, kTokens, S::kPartUnits> x_;
};

template <typename F, int kTokens, bool is_whole>
TESSERA_KERNEL((kMostReaders + 1) * kWarp, 1)
matvec_int8_kernel(TileWork work) {
  const int n_warps = work.n_readers + 1;
  const TileBlock block(work);
  const StageMemory memory(work, shared_memory());
  if (thread() == work.n_readers * kWarp) memory.copies.init(work.n_readers);
  if constexpr (F::kAlignment < 16) clear_ends(work, block, memory);
  sync_block();
  if (warp() == work.n_readers) {
    copy_stages(work, block, memory);
  } else {
    wait_for_previous();
    let_next_start();
    TileReader<F, kTokens, is_whole>(work, block, memory).run();
  }
  if (!block.is_last(work)) return;
  if (work.n_splits.value > 1) {
    sync_block();
    add_pieces(work, block, n_warps * kWarp);
  }
  if (work.args.made.m == 0) return;
  sync_block();
  make_form_of_outputs(work.args, n_warps, block.first, block.first + block.n);
}

// The best shape of a launch: the fewest pieces, then the least that a reader does for a row. n_slots 0: none fits.
template <typename F, int kTokens>
TileWork tile_work(const LinearArgs& args, int shared_bytes, int most_blocks) {
  using S = TileShape<F, kTokens>;
  TileWork best = TileWork::of<F, S>(args, 1, 1);
  const auto is_better = [&](const TileWork& work) {
    if (best.n_slots == 0 || work.n_pieces != best.n_pieces) return best.n_slots == 0 || work.n_pieces < best.n_pieces;
    return work.units_of_part * best.n_teams < best.units_of_part * work.n_teams;
  };
  for (int parts = 1; parts <= kMostReaders; ++parts) {
    for (int teams = 1; parts * teams <= kMostReaders; ++teams) {
      TileWork work = TileWork::of<F, S>(args, parts, teams);
      if (work.deal_out<S>(most_blocks, shared_bytes) && is_better(work)) best = work;
    }
  }
  return best;
}

template <typename F, int kTokens>
int launch_matvec_int8(Device& device, const LinearArgs& args, Failure* failure) {
  const int most_blocks = device.n_multiprocessors - spare_multiprocessors(device);
  TileWork work = tile_work<F, kTokens>(args, device.shared_bytes, most_blocks);
  if (work.n_slots == 0) return fail(failure, "matvec: a row is too long for this device's shared memory");
  work.is_paced = device.last_blocks <= spare_multiprocessors(device);
  Launch shape;
  shape.threads = (work.n_readers + 1) * kWarp;
  shape.shared_bytes = work.bytes<TileShape<F, kTokens>>();
  shape.blocks.x = work.ranges.n_blocks * work.n_splits.value;
  return for_units<F>(args, [&](auto is_whole) {
    return launch(device, shape, matvec_int8_kernel<F, kTokens, is_whole.value>, work, failure);
  });
}

template <typename F>
int matvec_int8(Device& device, const LinearArgs& args, Failure* failure) {
  if (args.parts == 0) return fail(failure, "matvec: no place for what blocks leave for each other");
  if (args.x.m <= kTileTokens / 2) return launch_matvec_int8<F, kTileTokens / 2>(device, args, failure);
  if (args.x.m <= kTileTokens) return launch_matvec_int8<F, kTileTokens>(device, args, failure);
  return launch_matvec_int8<F, 2 * kTileTokens>(device, args, failure);
}

}  // namespace tessera::kernels::cuda
