// What becomes of the readers' sums in gguf_linear of 3 to 16 tokens (matvec_tiles.cuh): those of a stage are added
// when all readers have left them, always in the same order. Where several blocks have a piece each of the same rows,
// they leave what comes out, words that are their own flags (matvec_form.cuh), and the last of them takes it.
#pragma once

#include "kernels/cuda/matvec_form.cuh"
#include "kernels/cuda/matvec_tiles.cuh"

namespace tessera::kernels::cuda {

inline constexpr int kRowsOfLane = 4, kGroupsOfTile = kTileRows / kRowsOfLane;  // of weights, added by one lane

// Where outputs of a launch from `first` on go, as far as they are of one job.
struct OutputPlace {
  Address out, bias;
  Element element;
  int32_t n, index, left;  // of the job: outputs; which one is the first; how many there are from it on

  TESSERA_DEVICE OutputPlace(const TileWork& work, int first) {
    index = first, left = work.args.jobs[0].n - first;
    set(work.args.jobs[0]);
    if (work.args.n_jobs == 1) return;  // constants at run-time places are slow to come
    const JobList::Place at = work.rows.find(first);
    index = at.index, left = at.left;
    set(work.args.jobs[at.job]);
  }
  TESSERA_DEVICE void set(const LinearJob& job) {
    out = job.out, bias = job.bias, element = job.out_element, n = job.n;
  }
  // The first n_there of some neighbours' values for a token.
  TESSERA_DEVICE void store(int token, const float (&values)[kRowsOfLane], int n_there) const {
    const int64_t to = int64_t{token} * n + index;
    if (element == Element::kF32) {
      TESSERA_UNROLL
      for (int i = 0; i < kRowsOfLane; ++i)
        if (i < n_there) global<float>(out)[to + i] = values[i];
    } else {
      TESSERA_UNROLL
      for (int i = 0; i < kRowsOfLane; ++i)
        if (i < n_there) global<uint16_t>(out)[to + i] = half_of(values[i], element);
    }
  }
};

// Stores what four rows of weights from `row` on have come to, of a token: two or four outputs, as far as they are the
// block's.
TESSERA_DEVICE void store_rows(const TileWork& work, const TileBlock& block, int row, int token,
                               float (&sum)[kRowsOfLane]) {
  const LinearArgs& args = work.args;
  const bool is_paired = work.weights_of_row == 2;
  if (is_paired) sum[0] = sum[1] * gelu_tanh(sum[0]), sum[1] = sum[3] * gelu_tanh(sum[2]), row /= 2;
  int n = min_of(is_paired ? 2 : kRowsOfLane, block.n - row);
  TESSERA_LOOP
  for (int first = block.first + row; n > 0;) {  // once, but where a job ends
    const OutputPlace place(work, first);
    const int n_here = min_of(n, place.left);
    if (place.bias != 0) {
      TESSERA_UNROLL
      for (int i = 0; i < kRowsOfLane; ++i)
        if (i < n_here) sum[i] += global<const float>(place.bias)[place.index + i];
    }
    place.store(token, sum, n_here);
    if (args.made.m != 0) {
      TESSERA_UNROLL
      for (int i = 0; i < kRowsOfLane / 2; ++i)
        if (i < n_here) leave_float(word_of_output(args, token, place.index + i), sum[i]);
    }
    first += n_here, n -= n_here;
    TESSERA_LOOP
    for (int i = 0; n > 0 && i < n_here; ++i) sum[0] = sum[1], sum[1] = sum[2], sum[2] = sum[3];
  }
}

// Where the block with piece `split` of a range leaves its sums for a token: words, one for each row of weights.
TESSERA_DEVICE Global<uint32_t> left_by(const TileWork& work, const TileBlock& block, int split, int token) {
  const int rows_before = (block.range * work.n_splits.value + split) * work.args.x.m + token;
  return global<uint32_t>(work.args.parts) + rows_before * work.most_weights;
}

// By a whole block, the last of those that have a piece of its rows: adds what they and it itself have left.
TESSERA_DEVICE void add_pieces(const TileWork& work, const TileBlock& block, int n_threads) {
  const int n_groups = work.groups_of_range.value, stride = work.args.x.m * work.most_weights;
  TESSERA_LOOP
  for (int item = thread(); item < work.args.x.m * n_groups; item += n_threads) {
    const int token = quotient(item, work.groups_of_range), row = (item - token * n_groups) * kRowsOfLane;
    if (row >= block.n_weights) continue;
    const auto words = left_by(work, block, 0, token) + row;
    float parts[kMostSplits][kRowsOfLane], sum[kRowsOfLane] = {};
    take_floats([&](int i) { return words + i * stride; }, parts, work.n_splits.value);
    TESSERA_UNROLL
    for (int i = 0; i < kMostSplits; ++i) TESSERA_UNROLL
    for (int r = 0; r < kRowsOfLane; ++r) sum[r] += parts[i][r];
    store_rows(work, block, row, token, sum);
  }
}

// Adds all readers' sums of four rows of weights, from `row` on, of a token.
template <typename F, typename S>
TESSERA_DEVICE void add_rows(const TileWork& work, const TileBlock& block, Shared<const float> sums, int n_parts,
                             int row, int token) {
  float sum[kRowsOfLane] = {};
  TESSERA_UNROLL
  for (int p = 0; p < kMostReaders; ++p) {
    if (p >= n_parts) continue;
    const Words4 part = cast<const Words4>(sums)[p * (S::kTileFloats / 4)];
    TESSERA_UNROLL
    for (int r = 0; r < kRowsOfLane; ++r) sum[r] += float_of_bits(part.word[r]);
  }
  TESSERA_UNROLL
  for (int r = 0; r < kRowsOfLane; ++r) sum[r] *= 1.0f / F::kCodeFactor;
  if (work.n_splits.value == 1) {
    store_rows(work, block, row, token, sum);
  } else {
    const auto words = left_by(work, block, block.split, token) + row;
    leave_floats(words, sum);
  }
}

// A reader's share of adding: of each stage one of them adds all sums, or as many as they are enough for, and of the
// next stage the next ones. It is a stage behind the multiplying, so that few have to wait.
template <typename F, typename S>
class Adder {
 public:
  TESSERA_DEVICE Adder(const TileWork& work, const TileBlock& block, const StageMemory& memory)
      : work_(work),
        block_(block),
        memory_(memory),
        n_items_(work.n_teams * work.args.x.m * kGroupsOfTile),
        turn_(warp()) {}

  // Of each stage in turn: its sums are whole in the last pass.
  TESSERA_DEVICE void add(const Stage& stage) {
    if (stage.pass + 1 < work_.n_passes) return;
    TESSERA_LOOP
    for (; turn_ * kWarp < n_items_; turn_ += work_.n_readers) {
      Barrier(memory_.copies.read + stage.slot).wait(stage.use);
      add(stage, turn_ * kWarp + lane());
    }
    turn_ -= (n_items_ + kWarp - 1) / kWarp;
    while (turn_ < 0) turn_ += work_.n_readers;
  }

 private:
  // Item (team, token, four rows of weights).
  TESSERA_DEVICE void add(const Stage& stage, int item) const {
    int token = item / kGroupsOfTile, team = 0;
    while (token >= work_.args.x.m) token -= work_.args.x.m, ++team;
    const int in_tile = item % kGroupsOfTile * kRowsOfLane, row = stage.row + team * kTileRows + in_tile;
    if (item >= n_items_ || row >= block_.n_weights) return;
    const int n_units = block_.n_units(work_, 0), n_parts = work_.units_of_part == 1 ? n_units : (n_units + 1) / 2;
    const int reader = stage.sum_slot * work_.n_readers + team * work_.parts_of_piece.value;
    const auto sums = cast<const float>(memory_.ring + work_.n_slots * work_.slot_bytes) +
                      (reader * S::kTileFloats + token * kTileRows + in_tile);
    add_rows<F, S>(work_, block_, sums, n_parts, row, token);
  }

  const TileWork& work_;
  const TileBlock& block_;
  const StageMemory& memory_;
  int n_items_, turn_;  // the warp's items of the next stage: from turn_ kWarp on
};

}  // namespace tessera::kernels::cuda
