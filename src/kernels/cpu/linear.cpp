#include "kernels/cpu/linear.h"

#include <algorithm>
#include <atomic>

#include "base/check.h"
#include "kernels/cpu/linear_kernels.h"

namespace tessera::kernels::cpu {
namespace {

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Hands out runs of tiles, long ones first: a long run keeps the memory stream unbroken, short ones at the end let all
// threads finish together.
class TileQueue {
 public:
  TileQueue(int64_t n_tiles, int n_threads) : n_tiles_(n_tiles), share_(int64_t{3} * n_threads) {}

  bool take(int64_t& begin, int64_t& end) {
    begin = next_.load(std::memory_order_relaxed);
    do {
      if (begin >= n_tiles_) return false;
      end = begin + std::max<int64_t>(1, (n_tiles_ - begin) / share_);
    } while (!next_.compare_exchange_weak(begin, end, std::memory_order_relaxed));
    return true;
  }

 private:
  alignas(64) std::atomic<int64_t> next_{0};
  int64_t n_tiles_;
  int64_t share_;
};

// The kernel of a weight for the forms its activations hold.
TileFn find_kernel(const LinearKernels& kernels, const quant::Format& format, const ActivationView& x) {
  const ActivationForms integer = ActivationForms::of(format, Arithmetic::kInt8);
  const bool int8 = (integer.blocks256 && x.blocks256) || (integer.blocks32 && x.blocks32);
  DCHECK(int8 || x.floats);
  for (const FormatKernel& kernel : int8 ? kernels.int8 : kernels.exact)
    if (kernel.type == format.type) return kernel.run;
  return kernels.dequantized;
}

ActivationView from_token(ActivationView x, int64_t token) {
  if (x.floats) x.floats += token * x.float_stride;
  if (x.blocks256) x.blocks256 += token;
  if (x.blocks32) x.blocks32 += token;
  return x;
}

class TileRunner {
 public:
  TileRunner(Isa isa, const ActivationView& x) : kernels_(linear_kernels(isa)), x_(x) {}

  int64_t n_tiles(const LinearJob& job) const { return ceil_div(job.weight.n, kTileRows) * n_chunks(); }

  // Tile `index` of a job; the chunks of tokens of one row tile follow each other, so its weights stay in the cache.
  void run(const LinearJob& job, int64_t index) const {
    const int64_t row = index / n_chunks() * kTileRows, token = index % n_chunks() * kTileTokens;
    const auto n_tokens = static_cast<int>(std::min<int64_t>(kTileTokens, x_.m - token));
    const auto n_rows = static_cast<int>(std::min<int64_t>(kTileRows, job.weight.n - row));
    const auto element = static_cast<int64_t>(size_of(job.out.dtype));
    alignas(64) float out[kTileTokens * kTileRows], gate[kTileTokens * kTileRows];
    const TileOutput output{
        .dtype = job.out.dtype,
        .rows = static_cast<std::byte*>(job.out.data) + (token * job.out.row_stride + row) * element,
        .stride_bytes = job.out.row_stride * element,
        .gate = job.gate ? gate : nullptr};
    LinearTile tile{.format = nullptr,
                    .weights = nullptr,
                    .row_bytes = 0,
                    .n_rows = n_rows,
                    .x = from_token(x_, token),
                    .n_tokens = n_tokens,
                    .out = gate,
                    .bias = nullptr,
                    .output = nullptr};
    if (job.gate) multiply(*job.gate, row, tile);
    tile.out = out;
    tile.output = &output;
    multiply(job.weight, row, tile);
  }

 private:
  int64_t n_chunks() const { return ceil_div(x_.m, kTileTokens); }

  // The rows of `weight` from `row` on as the tile says.
  void multiply(const LinearWeight& weight, int64_t row, LinearTile& tile) const {
    DCHECK(weight.k == x_.k);
    tile.format = weight.format;
    tile.row_bytes = weight.format->bytes_for(weight.k);
    tile.weights = static_cast<const std::byte*>(weight.data) + row * tile.row_bytes;
    tile.bias = weight.bias ? weight.bias + row : nullptr;
    find_kernel(kernels_, *weight.format, x_)(tile);
  }

  const LinearKernels& kernels_;
  const ActivationView& x_;
};

}  // namespace

void linear(ThreadPool& pool, Isa isa, std::span<const LinearJob> jobs, const Activations& x) {
  if (x.view().m == 0) return;
  const TileRunner runner(isa, x.view());
  int64_t n_tiles = 0;
  for (const LinearJob& job : jobs) n_tiles += runner.n_tiles(job);
  TileQueue queue(n_tiles, pool.size());
  pool.run([&](int) {
    for (int64_t begin, end; queue.take(begin, end);) {
      int64_t first = 0;  // the job's first tile
      for (const LinearJob& job : jobs) {
        const int64_t last = first + runner.n_tiles(job);
        for (int64_t i = std::max(begin, first); i < std::min(end, last); ++i) runner.run(job, i - first);
        first = last;
      }
    }
  });
}

int64_t weight_bytes(const LinearJob& job) {
  const auto bytes = [](const LinearWeight& w) { return w.n * w.format->bytes_for(w.k); };
  return bytes(job.weight) + (job.gate ? bytes(*job.gate) : 0);
}

int64_t operations(const LinearJob& job, int64_t m) { return (job.gate ? 4 : 2) * m * job.weight.n * job.weight.k; }

}  // namespace tessera::kernels::cpu
