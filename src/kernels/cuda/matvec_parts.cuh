// How gguf_linear of few tokens is dealt out: to each block a range of rows, to each of its warps a part of each row,
// the same part all along, so that the activations it needs stay in registers. Where rows are short several teams of
// warps share the block's rows; where they are longer than all warps' parts together, a warp takes one part after the
// other.
//
// A row's part comes through a ring of the warp's own in shared memory, kRows rows a stage, kStages on their way all
// the time: from the start of the launch, as weights do not depend on the one before.
#pragma once

#include "kernels/cuda/bulk_copies.cuh"
#include "kernels/cuda/division.cuh"
#include "kernels/cuda/row_tiles.cuh"

namespace tessera::kernels::cuda {

inline constexpr int kPartUnits = 8;  // of a row's part at most: a lane has a quarter of a unit
inline constexpr int kMostWarps = 12;

template <typename F>
struct PartShape {
  using U = Unit<F, kUnitValues>;
  static constexpr int kUnitBytes = U::kBytes;
  // Large enough stages that what they cost is little, and as many as twelve warps' rings have room for.
  static constexpr int kRows = kUnitBytes > 200 ? 2 : 4, kStages = 2304 / (kRows * kUnitBytes);
  // Parts lie in shared memory where they do in memory, modulo `alignment`.
  static constexpr int row_stride(int units, int alignment) {
    return (units * kUnitBytes + alignment - F::kAlignment + 15) / 16 * 16;
  }
  // Rows, and where they begin in theirs.
  static constexpr int stage_bytes(int stride) { return kRows * stride + 16; }
  static constexpr int warp_bytes(int stride) {
    return pieces_of(kStages * stage_bytes(stride) + copies_bytes(kStages), kBulkAlignment) * kBulkAlignment;
  }
};

// A launch, worked out on the host. A row is an output's; with a gate it is two rows of weights, first the gate's.
struct PartWork {
  LinearArgs args;
  JobList rows;
  int32_t weights_of_row;
  int32_t n_units, n_parts, units_of_part;  // of a row
  int32_t n_warps, parts_of_warp;           // parts of each row
  Divisor warps_of_row, n_teams;
  BlockRanges ranges;  // of rows
  int32_t alignment, row_stride, warp_bytes;
  bool is_paced;  // see PartStream::fill

  // With so many warps of a block, of which `of_row` share a row.
  template <typename F>
  static PartWork of(const LinearArgs& a, int warps, int of_row, int alignment) {
    PartWork out{.args = a, .rows = JobList(a, [](const LinearJob& job) { return job.n; })};
    out.weights_of_row = a.jobs[0].gate != 0 ? 2 : 1;
    out.n_units = PartShape<F>::U::count(a.x.k);
    out.parts_of_warp = pieces_of(out.n_units, of_row * kPartUnits);
    out.units_of_part = pieces_of(out.n_units, of_row * out.parts_of_warp);
    out.n_parts = pieces_of(out.n_units, out.units_of_part);
    out.n_warps = warps;
    out.warps_of_row = divisor_of(of_row), out.n_teams = divisor_of(warps / of_row);
    out.alignment = alignment, out.row_stride = PartShape<F>::row_stride(out.units_of_part, alignment);
    out.warp_bytes = PartShape<F>::warp_bytes(out.row_stride);
    return out;
  }
  // The best that leaves room for the sums of some rows: as many warps as can be, large parts, all places as the copy
  // engine likes them.
  template <typename F>
  static PartWork of(const LinearArgs& a, int shared_bytes) {
    constexpr int kSumsBytes = 4096;
    for (int warps = kMostWarps; warps > 1; --warps) {
      for (int of_row = 1; of_row <= warps; ++of_row) {
        if (kMostWarps % warps != 0 || warps % of_row != 0) continue;
        for (int alignment = kBulkAlignment; alignment >= 16; alignment /= 2) {
          const PartWork out = of<F>(a, warps, of_row, alignment);
          const bool is_last = of_row == warps;
          if ((out.parts_of_warp == 1 || is_last) && out.ring_bytes() + kSumsBytes <= shared_bytes) return out;
        }
      }
    }
    return of<F>(a, 1, 1, 16);
  }
  int ring_bytes() const { return n_warps * warp_bytes; }
  // Of the sums of n rows.
  int sums_bytes(int n) const { return n * weights_of_row * n_parts * args.x.m * static_cast<int>(sizeof(float)); }
  void deal_out(int blocks) { ranges = BlockRanges(rows.n(), min_of_sizes(blocks, rows.n())); }
};

// The rows of this block.
struct BlockRows {
  int first, n;
  TESSERA_DEVICE explicit BlockRows(const PartWork& work) {
    const int range = work.ranges.of_this_block();
    first = work.ranges.begin(range), n = work.ranges.size(range);
  }
};

// What one warp does of them: of rows of weights `begin` to `end` the part `part`, and those warps_of_row after it.
struct WarpRows {
  int part, begin, end;
  TESSERA_DEVICE WarpRows(const PartWork& work, const BlockRows& rows) {
    const int team = quotient(warp(), work.warps_of_row);
    part = warp() - team * work.warps_of_row.value;
    begin = quotient(rows.n * team, work.n_teams) * work.weights_of_row;
    end = quotient(rows.n * (team + 1), work.n_teams) * work.weights_of_row;
  }
};

// The parts of rows on their way to one warp. Lane r has row r of each stage; what differs from stage to stage is
// worked out anew where a job, the rows or a part end, and only there.
template <typename F, int kTokens>
class PartStream {
  using S = PartShape<F>;
  static constexpr int kLeads = 4;  // kept of a stage, a word each
  static_assert(S::kRows <= kLeads);

 public:
  TESSERA_DEVICE PartStream(const PartWork& of, const BlockRows& rows, const WarpRows& mine, Shared<uint8_t> memory)
      : work_(of),
        mine_(mine),
        first_row_(rows.first),
        ring_(memory),
        stride_(of.row_stride),
        stage_bytes_(S::stage_bytes(of.row_stride)),
        row_bytes_(static_cast<int>(row_bytes<F>(of.args.x.k))),
        part_(mine.part),
        row_(first_row()),
        copies_(memory + S::kStages * S::stage_bytes(of.row_stride)) {}
  // Where stages of kRows begin. Of several tokens the one that has fewer comes first: a stage at the end takes as long
  // to multiply with few rows as with all. Of one token it comes last, so that the first copies have much to ask for.
  TESSERA_DEVICE int first_row() const {
    return kTokens == 1 ? mine_.begin : mine_.begin - ((mine_.begin - mine_.end) & (S::kRows - 1));
  }
  // Starts the copies of all stages. is_paced: each when the one before has arrived. That keeps the memory as busy, but
  // not so full of requests that what the launch before this one reads and writes has to queue behind them.
  TESSERA_DEVICE void fill(bool is_paced) {
    TESSERA_LOOP
    for (int i = 0; i < S::kStages; ++i) {
      if (is_paced && i > 0) copies_.wait_for_first(i - 1);
      copy_next();
    }
  }
  // Starts the copies of the next stage's rows, if there are any.
  TESSERA_DEVICE void copy_next() {
    if (left_ == 0) find_rows();
    const auto to = ring_ + filled_ * stage_bytes_;
    const int before = static_cast<int>(address_ % 16);  // bytes that are copied, too
    const int lead = static_cast<int>(address_ - static_cast<uint32_t>(filled_ * stage_bytes_ + lane() * stride_)) &
                     (work_.alignment - 1);
    if (lane() < kLeads) cast<int32_t>(to + S::kRows * stride_)[lane()] = lead;
    copies_.start(to, lane() * stride_ + lead - before, address_ - static_cast<Address>(before),
                  bytes_ == 0 ? 0 : (before + bytes_ + 15) / 16 * 16, filled_);
    if (++filled_ == S::kStages) filled_ = 0;
    --left_;
    address_ += static_cast<uint32_t>(step());
  }
  // Until the next stage's rows are there.
  TESSERA_DEVICE void wait() {
    stage_ = read_ * stage_bytes_;
    leads_ = load_words4(ring_ + (stage_ + S::kRows * stride_));  // since the copies began
    copies_.wait();
    if (++read_ == S::kStages) read_ = 0;
  }
  // Of those, row r, and how many bytes after that its part begins. Rows that are not there can be read.
  TESSERA_DEVICE Shared<const uint8_t> row(int r) const { return ring_ + (stage_ + r * stride_); }
  TESSERA_DEVICE int lead(int r) const { return static_cast<int>(leads_.word[r]); }

 private:
  TESSERA_DEVICE bool is_paired() const { return work_.weights_of_row == 2; }
  TESSERA_DEVICE int step() const { return (is_paired() ? S::kRows / 2 : S::kRows) * row_bytes_; }

  // Rows `from` to `to` of the next stage, which are not there.
  TESSERA_DEVICE void clear_rows(int from, int to) const {
    const auto rows = ring_ + (filled_ * stage_bytes_ + from * stride_);
    TESSERA_LOOP
    for (int at = lane(); at < (to - from) * stride_ / 16; at += kWarp) cast<Words4>(rows)[at] = Words4{};
    Barrier::fence_writes();
  }
  // Finds the lane's row of the next stage, and how many stages go on from there in the same way.
  TESSERA_DEVICE void find_rows() {
    if (row_ >= mine_.end) row_ = first_row(), part_ += work_.warps_of_row.value;
    const bool is_over = part_ >= work_.n_parts || mine_.begin >= mine_.end;
    const int mine = row_ + lane();
    bytes_ = 0, left_ = is_over ? 1 << 30 : 1;
    if (!is_over && lane() < S::kRows && mine >= mine_.begin && mine < mine_.end) {
      const int offset = part_ * work_.units_of_part * S::kUnitBytes;
      const JobList::Place at = work_.rows.find(first_row_ + (is_paired() ? mine / 2 : mine));
      const LinearJob& job = work_.args.jobs[at.job];
      address_ = (is_paired() && mine % 2 == 0 ? job.gate : job.weight) + static_cast<uint32_t>(offset) +
                 static_cast<Address>(at.index) * static_cast<uint32_t>(row_bytes_);
      bytes_ = min_of(work_.units_of_part * S::kUnitBytes, row_bytes_ - offset);
      const int of_job = is_paired() ? 2 * at.left - mine % 2 : at.left;
      left_ = (min_of(of_job, mine_.end - mine) + S::kRows - 1) / S::kRows;
    }
    TESSERA_UNROLL
    for (int step = 1; step < S::kRows; step *= 2) left_ = min_of(left_, shuffle_xor(left_, step));
    left_ = shuffle(left_, 0);
    const int from = kTokens == 1 ? mine_.end - row_ : 0, to = kTokens == 1 ? S::kRows : mine_.begin - row_;
    if (!is_over && from < to) clear_rows(from, to);
    row_ += is_over ? 0 : left_ * S::kRows;
  }

  const PartWork& work_;
  const WarpRows& mine_;
  int first_row_;
  Shared<uint8_t> ring_;
  int stride_, stage_bytes_, row_bytes_;
  // What is copied next, for left_ stages: of part part_ bytes_ from address_ on, step() further from stage to stage.
  // After them the rows from row_ on.
  int part_, row_, left_ = 0, bytes_ = 0, filled_ = 0, read_ = 0;
  Address address_ = 0;
  // What is read, as bytes from the ring's beginning on: a pointer that lives from one round of a loop to the next is
  // what nvcc 13.0 does not come to an end with.
  int stage_ = 0;
  Words4 leads_;
  RowCopies<S::kStages, S::kRows> copies_;
};

}  // namespace tessera::kernels::cuda
