// How gguf_linear of 3 to 16 tokens is dealt out, and the way of its weights through shared memory.
//
// A block takes a range of rows and, where rows are long, one of several pieces of each. One warp copies, sixteen rows
// or a few times sixteen a stage, as far ahead as there are slots; the others, readers, multiply. Each reader has the
// same part of every row, a unit or two of 256 values, so that the activations it needs stay in registers. Where rows
// are short several teams of readers share a stage, a tile of sixteen rows each.
#pragma once

#include "kernels/cuda/bulk_copies.cuh"
#include "kernels/cuda/division.cuh"
#include "kernels/cuda/matvec_products.cuh"

namespace tessera::kernels::cuda {

inline constexpr int kMostReaders = 11, kMostSlots = 4, kMostSplits = 4;

// kTokens: 4, 8 or 16 tokens at most.
template <typename F, int kTokens>
struct TileShape {
  using U = Unit<F, kUnitValues>;
  // Of a part at most, 1 or 2. Of formats of 32 values there are eight scales a unit and token.
  static constexpr int kPartUnits = F::kGroup < kUnitValues && kTokens > kTileTokens ? 1 : 2;
  // Parts lie in shared memory where they do in memory, modulo `alignment`; where that leaves a choice, an odd multiple
  // of 16 bytes apart.
  static constexpr int row_stride(int units, int alignment) {
    return ((units * U::kBytes + alignment - F::kAlignment + 15) / 16 | 1) * 16;
  }
  // Eight rows that lanes read a word of at once may share banks so much: of long words they read few.
  static constexpr int kMostAlike = F::kAlignment >= 16 ? 4 : 1;
  static constexpr int kTileFloats = kTokens * kTileRows;  // a reader's sums of a tile: (tokens, rows)
};

// How many of eight rows at most begin at the same 16 bytes of all banks, where they are laid out with this alignment.
constexpr int rows_alike(int row_bytes, int alignment) {
  constexpr int kBanksBytes = 128, kPlaces = kBanksBytes / 16;
  int n[kPlaces] = {}, most = 0;
  for (int r = 0; r < kPlaces; ++r) {
    const int base = r * 16, lead = (r * row_bytes - base) & (alignment - 1);  // as copy_stage has it, of an odd stride
    const int here = ++n[(base + lead) % kBanksBytes / 16];
    most = here > most ? here : most;
  }
  return most;
}

// A launch, worked out on the host. A row is an output's; with a gate it is two rows of weights, first the gate's.
struct TileWork {
  LinearArgs args;
  JobList rows;
  int32_t weights_of_row;
  int32_t n_units, units_of_piece,
      units_of_part;  // of a row; the last piece, and the last part of each, may have fewer
  int32_t row_bytes, unit_bytes;
  int32_t n_readers, n_teams, n_pieces, n_passes;  // a block has n_passes pieces, one after the other
  Divisor parts_of_piece, n_splits;
  BlockRanges ranges;  // of rows, each for n_splits blocks
  int32_t stage_rows, last_row, alignment, row_stride, slot_bytes, n_slots, n_sum_slots;
  int32_t most_weights;     // rows of weights of a range, a multiple of 4
  Divisor groups_of_range;  // of four of them
  bool is_paced;

  template <typename F, typename S>
  static TileWork of(const LinearArgs& a, int parts_of_piece, int teams) {
    TileWork out{.args = a, .rows = JobList(a, [](const LinearJob& job) { return job.n; })};
    out.weights_of_row = a.jobs[0].gate != 0 ? 2 : 1;
    out.n_units = S::U::count(a.x.k);
    out.n_pieces = pieces_of(out.n_units, parts_of_piece * S::kPartUnits);
    out.units_of_piece = pieces_of(out.n_units, out.n_pieces);
    out.units_of_part = pieces_of(out.units_of_piece, parts_of_piece);
    out.row_bytes = a.x.k / F::kValues * F::kBytes, out.unit_bytes = S::U::kBytes;
    out.n_readers = parts_of_piece * teams, out.n_teams = teams;
    out.parts_of_piece = divisor_of(parts_of_piece);
    out.stage_rows = kTileRows * teams;
    out.alignment = kBulkAlignment;
    while (rows_alike(out.row_bytes, out.alignment) > S::kMostAlike) out.alignment /= 2;
    out.row_stride = S::row_stride(out.units_of_piece, out.alignment);
    out.slot_bytes = out.stage_rows * out.row_stride;
    return out;
  }
  // To so many blocks, of which as many share rows as their scratch lets; with what shared memory each may have. To
  // more, one after the other, where a block cannot keep the sums of all its rows from one pass to the next. false: it
  // is too little in any case.
  template <typename S>
  bool deal_out(int most_blocks, int shared_bytes) {
    for (int rounds = 1;; rounds *= 2) {
      for (int splits = min_of_sizes(min_of_sizes(n_pieces, kMostSplits), most_blocks); splits > 0; --splits) {
        n_splits = divisor_of(splits), n_passes = pieces_of(n_pieces, splits);
        ranges = BlockRanges(rows.n(), min_of_sizes(most_blocks / splits * rounds, rows.n()));
        groups_of_range = divisor_of(pieces_of(ranges.most() * weights_of_row, 4));
        most_weights = groups_of_range.value * 4;
        last_row = (pieces_of(most_weights, stage_rows) - 1) * stage_rows;
        if (splits == 1 || left_words() * sizeof(uint32_t) <= kMatvecPartsBytes) break;
      }
      for (n_slots = kMostSlots; n_slots >= 2; --n_slots) {
        n_sum_slots = n_passes > 1 ? last_row / stage_rows + 1 : n_slots + 2;
        if (bytes<S>() <= shared_bytes) return true;
      }
      if (n_passes == 1 || ranges.most() == 1) return false;
    }
  }
  constexpr uint64_t left_words() const {
    return uint64_t(ranges.n_blocks) * uint64_t(n_splits.value) * uint64_t(args.x.m) * uint64_t(most_weights);
  }
  // Of shared memory: barriers and leads, slots, sums.
  constexpr int fixed_bytes() const {
    return pieces_of(StageCopies::bytes(kMostSlots) + kMostSlots * stage_rows * 4, kBulkAlignment) * kBulkAlignment;
  }
  template <typename S>
  int bytes() const {
    return fixed_bytes() + n_slots * slot_bytes +
           n_sum_slots * n_readers * S::kTileFloats * static_cast<int>(sizeof(float));
  }
};

// What one block does.
struct TileBlock {
  int range, split;
  int first, n;  // rows
  int n_weights;
  TESSERA_DEVICE explicit TileBlock(const TileWork& work) {
    const int group = quotient(block_x(), work.n_splits);
    split = block_x() - group * work.n_splits.value;
    range = work.ranges.n_blocks - 1 - group;
    first = work.ranges.begin(range), n = work.ranges.size(range), n_weights = n * work.weights_of_row;
  }
  // Blocks of a range come in this order: the last one may wait for the others.
  TESSERA_DEVICE bool is_last(const TileWork& work) const { return split + 1 == work.n_splits.value; }
  // The piece of a pass: how many units of a row come before it, and how many it has; none where rows have fewer
  // pieces.
  TESSERA_DEVICE int first_unit(const TileWork& work, int pass) const {
    return (split + pass * work.n_splits.value) * work.units_of_piece;
  }
  TESSERA_DEVICE int n_units(const TileWork& work, int pass) const {
    return max_of(min_of(work.units_of_piece, work.n_units - first_unit(work, pass)), 0);
  }
  // Its bytes: rows may end within a unit.
  TESSERA_DEVICE int bytes(const TileWork& work, int pass) const {
    const int before = first_unit(work, pass) * work.unit_bytes;
    return max_of(min_of(work.units_of_piece * work.unit_bytes, work.row_bytes - before), 0);
  }
};

struct StageMemory {
  StageCopies copies;
  Shared<int32_t> leads;  // (slots, rows of a stage): bytes between a row's place and its part
  Shared<uint8_t> ring;
  TESSERA_DEVICE StageMemory(const TileWork& work, Shared<uint8_t> memory)
      : copies(memory, work.n_slots),
        leads(cast<int32_t>(memory + StageCopies::bytes(kMostSlots))),
        ring(memory + work.fixed_bytes()) {}
};

// One stage after the other: rows of weights from `row` on, of the block's piece `pass`; where it lies, for the
// `use`-th time, and where the readers' sums of it do. The last rows come first, as they may be few: that stage is
// there the sooner, while at the end one with few rows would take as long to multiply as one with all.
struct Stage {
  int pass = 0, row, slot = 0, use = 0, sum_slot = 0;
  TESSERA_DEVICE explicit Stage(const TileWork& work) : row(work.last_row) {}
  TESSERA_DEVICE bool is_first_of_pass(const TileWork& work) const { return row == work.last_row; }
  TESSERA_DEVICE void next(const TileWork& work) {
    row = is_first_of_pass(work) ? 0 : row + work.stage_rows;
    if (is_first_of_pass(work)) ++pass;
    if (++sum_slot == work.n_sum_slots) sum_slot = 0;
    if (++slot == work.n_slots) slot = 0, ++use;
  }
};

// By a whole block, before any copy: what lies behind rows' bytes as far as lanes read it, though nothing is made of
// it: to the end of a unit, and a word more.
TESSERA_DEVICE void clear_ends(const TileWork& work, const TileBlock& block, const StageMemory& memory) {
  TESSERA_LOOP
  for (int row = thread(); row < work.n_slots * work.stage_rows; row += (work.n_readers + 1) * kWarp) {
    TESSERA_LOOP
    for (int pass = 0; pass < work.n_passes; ++pass) {
      const int bytes = block.bytes(work, pass), left = bytes % work.unit_bytes;
      const int end = bytes + (left > 0 ? work.unit_bytes - left : 0) + work.alignment + 16;
      TESSERA_LOOP
      for (int at = bytes / 16 * 16; at < min_of(end, work.row_stride); at += 16)
        *cast<Words4>(memory.ring + (row * work.row_stride + at)) = Words4{};
    }
  }
  Barrier::fence_writes();
}

// Starts the copies of a stage's rows, by the copying warp. Rows past the last one, and pieces past it, have none.
TESSERA_DEVICE void copy_stage(const TileWork& work, const TileBlock& block, const StageMemory& memory,
                               const Stage& stage) {
  if (stage.pass >= work.n_passes) return;
  const int offset = block.first_unit(work, stage.pass) * work.unit_bytes, bytes = block.bytes(work, stage.pass);
  const bool is_paired = work.weights_of_row == 2;
  TESSERA_LOOP
  for (int base = 0; base < work.stage_rows; base += kWarp) {
    const int in_stage = base + lane(), row = stage.row + in_stage;
    const bool is_there = in_stage < work.stage_rows && row < block.n_weights && bytes > 0;
    const JobList::Place at = work.rows.find(block.first + (is_paired ? row / 2 : row));
    const LinearJob& job = work.args.jobs[at.job];
    const Address from = (is_paired && row % 2 == 0 ? job.gate : job.weight) + static_cast<uint32_t>(offset) +
                         static_cast<Address>(at.index) * static_cast<uint32_t>(work.row_bytes);
    const int place = stage.slot * work.slot_bytes + in_stage * work.row_stride;
    const int before = static_cast<int>(from % 16);  // bytes that are copied, too
    const int lead = static_cast<int>(from - static_cast<uint32_t>(place)) & (work.alignment - 1);
    if (is_there) store_for_others(memory.leads + (stage.slot * work.stage_rows + in_stage), lead);
    memory.copies.start(stage.slot, memory.ring, place + lead - before, from - static_cast<Address>(before),
                        is_there ? (before + bytes + 15) / 16 * 16 : 0);
  }
  memory.copies.finish(stage.slot);
}

}  // namespace tessera::kernels::cuda
