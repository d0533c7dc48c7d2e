// A launch's work as a list that is counted on the host: a kernel that counts it itself, dividing job by job, asks for
// its first bytes a microsecond later.
#pragma once

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/words.cuh"

namespace tessera::kernels::cuda {

// The pieces of all jobs of a launch, one job's after the other's.
struct JobList {
  int32_t end[kMaxJobs];  // pieces up to the end of each job; those past the last job repeat it

  // pieces(job): how many one has.
  template <typename Pieces>
  JobList(const LinearArgs& args, const Pieces& pieces) {
    int n = 0;
    for (int i = 0; i < kMaxJobs; ++i) end[i] = n += i < args.n_jobs ? pieces(args.jobs[i]) : 0;
  }
  constexpr int n() const { return end[kMaxJobs - 1]; }

  struct Place {
    int job, index, left;  // which piece of the job; pieces of it from this one on
  };
  TESSERA_DEVICE Place find(int piece) const {
    int job = 0, before = 0;
    TESSERA_UNROLL
    for (int i = 0; i + 1 < kMaxJobs; ++i)
      if (piece >= end[i]) job = i + 1, before = end[i];
    return {job, piece - before, end[job] - piece};
  }
};

// A list in equal ranges, one a block. Blocks take them from the last to the first, so that what a block may wait for,
// which is of later ranges, is left by blocks before it.
struct BlockRanges {
  int32_t n_blocks;
  int32_t least, n_larger;  // the first ranges have one more

  BlockRanges() = default;
  BlockRanges(int total, int blocks) : n_blocks(blocks), least(total / blocks), n_larger(total % blocks) {}
  int most() const { return least + (n_larger > 0 ? 1 : 0); }
  TESSERA_DEVICE int begin(int range) const { return range * least + min_of(range, n_larger); }
  TESSERA_DEVICE int size(int range) const { return least + (range < n_larger ? 1 : 0); }
  TESSERA_DEVICE int of_this_block() const { return n_blocks - 1 - block_x(); }
};

}  // namespace tessera::kernels::cuda
