// How linear() cuts its work: which tiles there are, and which thread computes them when. Outputs do not depend on it.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <span>

#include "base/checked_math.h"
#include "kernels/cpu/linear.h"
#include "kernels/cpu/linear_kernels.h"

namespace tessera::kernels::cpu {

// A tile of one of the jobs.
struct TilePlace {
  const LinearJob* job;  // null: none is left
  int64_t row, token;
  int n_rows, n_tokens;
};

// The work of all jobs in the order of the file, as units: some rows times a chunk of the tokens. The chunks of the
// same rows follow each other, so that the weights stay in the cache.
class Tiles {
 public:
  Tiles(std::span<const LinearJob> jobs, int64_t m, TileRows rows, int n_threads)
      : jobs_(jobs), m_(m), n_rows_(rows.unit), most_units_(rows.most / rows.unit) {
    // Threads finish up to one unit apart, a few percent of what few units are: then units have fewer rows, or fewer
    // tokens.
    const int64_t enough = (rows.unit > kTileRows ? kLargeUnitsOfThread : kUnitsOfThread) * n_threads;
    for (count(); n_units_ < enough && n_rows_ > kTileRows; count()) n_rows_ /= 2;
    for (; n_units_ < enough && n_tokens_ > kLeastTokens; count()) n_tokens_ /= 2;
    if (n_chunks_ > 1) most_units_ = 1;
  }
  int64_t n_units() const { return n_units_; }

  // The largest tile of the units from `begin` on, before `end`; begin becomes the first unit after it.
  TilePlace take(int64_t& begin, int64_t end) const {
    const LinearJob* job = jobs_.data();
    int64_t unit = begin;
    for (; unit >= units_of(*job); ++job) unit -= units_of(*job);
    const int64_t n = std::min({most_units_, end - begin, units_of(*job) - unit});
    begin += n;
    const int64_t row = unit / n_chunks_ * n_rows_, token = unit % n_chunks_ * n_tokens_;
    return {.job = job,
            .row = row,
            .token = token,
            .n_rows = static_cast<int>(std::min(n * n_rows_, job->weight.n - row)),
            .n_tokens = static_cast<int>(std::min(n_tokens_, m_ - token))};
  }

 private:
  int64_t units_of(const LinearJob& job) const { return ceil_div(job.weight.n, n_rows_) * n_chunks_; }
  void count() {
    n_chunks_ = ceil_div(m_, n_tokens_);
    n_units_ = 0;
    for (const LinearJob& job : jobs_) n_units_ += units_of(job);
  }

  static constexpr int64_t kUnitsOfThread = 32, kLargeUnitsOfThread = 8, kLeastTokens = 128;

  std::span<const LinearJob> jobs_;
  int64_t m_, n_rows_, n_tokens_ = kTileTokens;
  int64_t most_units_;  // of a tile
  int64_t n_chunks_ = 1, n_units_ = 0;
};

// Hands out runs of units, long ones first: a long run keeps the memory stream unbroken, short ones at the end let all
// threads finish together.
class TileQueue {
 public:
  TileQueue(int64_t n_units, int n_threads) : n_units_(n_units), share_(int64_t{2} * n_threads) {}

  // Makes [begin, end) the next run; empty when none is left.
  void take(int64_t& begin, int64_t& end) {
    begin = end = next_.load(std::memory_order_relaxed);
    while (begin < n_units_) {
      end = begin + std::max<int64_t>(1, (n_units_ - begin) / share_);
      if (next_.compare_exchange_weak(begin, end, std::memory_order_relaxed)) return;
      end = begin;
    }
  }

 private:
  alignas(64) std::atomic<int64_t> next_{0};
  int64_t n_units_;
  int64_t share_;
};

// The tiles one thread gets, one after the other.
class TileStream {
 public:
  TileStream(const Tiles& tiles, TileQueue& queue) : tiles_(tiles), queue_(queue) {}
  TilePlace next() {
    if (at_ == end_) queue_.take(at_, end_);
    return at_ == end_ ? TilePlace{} : tiles_.take(at_, end_);
  }

 private:
  const Tiles& tiles_;
  TileQueue& queue_;
  int64_t at_ = 0, end_ = 0;
};

}  // namespace tessera::kernels::cpu
