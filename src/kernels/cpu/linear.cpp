#include "kernels/cpu/linear.h"

#include <algorithm>
#include <atomic>

#include "base/check.h"
#include "base/checked_math.h"
#include "kernels/cpu/linear_kernels.h"

namespace tessera::kernels::cpu {
namespace {

struct Kernel {
  TileFn run;
  MostRows most_rows;
};

// The kernel of a weight for the forms its activations hold.
Kernel find_kernel(const LinearKernels& kernels, const LinearWeight& weight, const ActivationView& x) {
  const ActivationForms integer = weight.forms(Arithmetic::kInt8);
  const bool int8 = (integer.blocks256 && x.blocks256) || (integer.blocks32 && x.blocks32);
  DCHECK(int8 || x.floats);
  if (weight.format) {
    for (const FormatKernel& kernel : int8 ? kernels.int8 : kernels.exact)
      if (kernel.type == weight.format->type) return {kernel.run, int8 ? kernels.int8_rows : MostRows{}};
  } else if (int8) {
    for (const AffineKernel& kernel : kernels.affine)
      if (kernel.bits == weight.groups.bits) return {kernel.run, kernels.affine_rows};
  }
  return {kernels.dequantized};
}

ActivationView from_token(ActivationView x, int64_t token) {
  if (x.floats) x.floats += token * x.float_stride;
  if (x.blocks256) x.blocks256 += token;
  if (x.blocks32) x.blocks32 += token;
  return x;
}

// A tile of one of the jobs.
struct Place {
  const LinearJob* job;  // null: none is left
  int64_t row, token;
  int n_rows, n_tokens;
};

// All tiles of all jobs, in the order of the file. The chunks of tokens of one row tile follow each other, so that its
// weights stay in the cache.
class Tiles {
 public:
  Tiles(std::span<const LinearJob> jobs, int64_t m, int most_rows, int n_threads)
      : jobs_(jobs), m_(m), n_rows_(most_rows) {
    // Threads finish up to one tile apart, a few percent of what few tiles are: then tiles take fewer tokens, or, where
    // they can take many rows, fewer rows.
    const int64_t enough = (most_rows == kTileRows ? kTilesOfThread : kLargeTilesOfThread) * n_threads;
    for (count(); size_ < enough && n_rows_ > kTileRows; count()) n_rows_ /= 2;
    for (; size_ < enough && n_tokens_ > kLeastTokens; count()) n_tokens_ /= 2;
  }
  int64_t size() const { return size_; }
  Place operator[](int64_t index) const {
    const LinearJob* job = jobs_.data();
    for (; index >= size_of_job(*job); ++job) index -= size_of_job(*job);
    const int64_t row = index / n_chunks_ * n_rows_, token = index % n_chunks_ * n_tokens_;
    return {.job = job,
            .row = row,
            .token = token,
            .n_rows = static_cast<int>(std::min<int64_t>(n_rows_, job->weight.n - row)),
            .n_tokens = static_cast<int>(std::min<int64_t>(n_tokens_, m_ - token))};
  }

 private:
  int64_t size_of_job(const LinearJob& job) const { return ceil_div(job.weight.n, n_rows_) * n_chunks_; }
  void count() {
    n_chunks_ = ceil_div(m_, n_tokens_);
    size_ = 0;
    for (const LinearJob& job : jobs_) size_ += size_of_job(job);
  }

  static constexpr int64_t kTilesOfThread = 32, kLargeTilesOfThread = 8, kLeastTokens = 128;

  std::span<const LinearJob> jobs_;
  int64_t m_, n_rows_, n_tokens_ = kTileTokens, n_chunks_ = 1, size_ = 0;
};

// Hands out runs of tiles, long ones first: a long run keeps the memory stream unbroken, short ones at the end let all
// threads finish together.
class TileQueue {
 public:
  TileQueue(int64_t n_tiles, int n_threads) : n_tiles_(n_tiles), share_(int64_t{2} * n_threads) {}

  // Makes [begin, end) the next run; empty when none is left.
  void take(int64_t& begin, int64_t& end) {
    begin = end = next_.load(std::memory_order_relaxed);
    while (begin < n_tiles_) {
      end = begin + std::max<int64_t>(1, (n_tiles_ - begin) / share_);
      if (next_.compare_exchange_weak(begin, end, std::memory_order_relaxed)) return;
      end = begin;
    }
  }

 private:
  alignas(64) std::atomic<int64_t> next_{0};
  int64_t n_tiles_;
  int64_t share_;
};

// The tiles one thread gets, one after the other.
class TileStream {
 public:
  TileStream(const Tiles& tiles, TileQueue& queue) : tiles_(tiles), queue_(queue) {}
  Place next() {
    if (at_ == end_) queue_.take(at_, end_);
    return at_ == end_ ? Place{} : tiles_[at_++];
  }

 private:
  const Tiles& tiles_;
  TileQueue& queue_;
  int64_t at_ = 0, end_ = 0;
};

class TileRunner {
 public:
  TileRunner(Isa isa, const ActivationView& x) : kernels_(linear_kernels(isa)), x_(x) {}

  // Rows that the kernels of all jobs take at once.
  int most_rows(std::span<const LinearJob> jobs) const {
    int rows = kMostTileRows;
    const auto fit = [&](const LinearWeight& weight) {
      rows = std::min(rows, find_kernel(kernels_, weight, x_).most_rows.of(x_.m));
    };
    for (const LinearJob& job : jobs) {
      fit(job.weight);
      if (job.gate) fit(*job.gate);
    }
    return rows;
  }

  // Computes a tile while the weights of `next`, this thread's next one, are on their way.
  void run(const Place& at, const Place& next) const {
    const LinearJob& job = *at.job;
    const auto element = static_cast<int64_t>(size_of(job.out.dtype));
    alignas(64) float out[kTileTokens * kMostTileRows], gate[kTileTokens * kMostTileRows];
    const TileOutput output{
        .dtype = job.out.dtype,
        .rows = static_cast<std::byte*>(job.out.data) + (at.token * job.out.row_stride + at.row) * element,
        .stride_bytes = job.out.row_stride * element,
        .gate = job.gate ? gate : nullptr};
    if (job.gate) multiply(*job.gate, at, rows_of(job.weight, at.row), gate, nullptr);
    const std::byte* after =
        next.job ? rows_of(next.job->gate ? *next.job->gate : next.job->weight, next.row) : rows_of(job.weight, at.row);
    multiply(job.weight, at, after, out, &output);
  }

 private:
  static const std::byte* rows_of(const LinearWeight& weight, int64_t row) {
    return static_cast<const std::byte*>(weight.data) + row * weight.row_bytes();
  }

  void multiply(const LinearWeight& weight, const Place& at, const std::byte* next, float* out,
                const TileOutput* output) const {
    DCHECK(weight.k == x_.k);
    const Kernel kernel = find_kernel(kernels_, weight, x_);
    kernel.run({.format = weight.format,
                .groups = weight.format ? AffineGroups{} : weight.groups.from_row(at.row, weight.k),
                .weights = rows_of(weight, at.row),
                .row_bytes = weight.row_bytes(),
                .n_rows = at.n_rows,
                .next = next,
                .x = from_token(x_, at.token),
                .n_tokens = at.n_tokens,
                .out = out,
                .sums = sums_of_tile(at.n_rows, at.n_tokens),
                .bias = weight.bias ? weight.bias + at.row : nullptr,
                .output = output});
  }

  const LinearKernels& kernels_;
  const ActivationView& x_;
};

}  // namespace

ActivationForms LinearWeight::forms(Arithmetic arithmetic) const {
  if (format) return ActivationForms::of(*format, arithmetic);
  const bool integer = arithmetic == Arithmetic::kInt8 && groups.has_integer_arithmetic();
  return {.floats = !integer, .blocks32 = integer};
}

void linear(ThreadPool& pool, Isa isa, std::span<const LinearJob> jobs, const Activations& x) {
  if (x.view().m == 0) return;
  const TileRunner runner(isa, x.view());
  const Tiles tiles(jobs, x.view().m, runner.most_rows(jobs), pool.size());
  TileQueue queue(tiles.size(), pool.size());
  pool.run([&](int) {
    TileStream stream(tiles, queue);
    for (Place at = stream.next(); at.job;) {
      const Place next = stream.next();
      runner.run(at, next);
      at = next;
    }
  });
}

int64_t weight_bytes(const LinearJob& job) { return job.weight.bytes() + (job.gate ? job.gate->bytes() : 0); }

int64_t operations(const LinearJob& job, int64_t m) { return (job.gate ? 4 : 2) * m * job.weight.n * job.weight.k; }

}  // namespace tessera::kernels::cpu
