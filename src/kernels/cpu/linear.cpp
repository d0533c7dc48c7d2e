#include "kernels/cpu/linear.h"

#include <algorithm>

#include "base/check.h"
#include "kernels/cpu/linear_kernels.h"
#include "kernels/cpu/linear_tiles.h"

namespace tessera::kernels::cpu {
namespace {

template <class Row>
const Row* find(std::span<const Row> rows, const quant::Format& format) {
  const auto row = std::find_if(rows.begin(), rows.end(), [&](const Row& of) { return of.type == format.type; });
  return row == rows.end() ? nullptr : &*row;
}

// The kernel of a weight for integer activations; null: there is none, or these are not.
const Int8Kernel* find_int8(const LinearKernels& kernels, const LinearWeight& weight, const ActivationView& x) {
  const ActivationForms integer = weight.forms(Arithmetic::kInt8);
  if (!(integer.blocks256 && x.blocks256) && !(integer.blocks32 && x.blocks32)) return nullptr;
  if (weight.format) {
    if (const PackedFormat* packed = find(kernels.packed, *weight.format)) return &packed->int8;
  } else {
    for (const AffineCodes& of : kernels.affine)
      if (of.bits == weight.groups.bits) return &of.int8;
  }
  return nullptr;
}

TileFn find_exact(const LinearKernels& kernels, const LinearWeight& weight, int n_tokens) {
  if (weight.format) {
    if (const FloatFormat* floats = find(kernels.floats, *weight.format)) return floats->exact;
    if (n_tokens <= kMostFewExactTokens)
      if (const PackedFormat* packed = find(kernels.packed, *weight.format)) return packed->few_exact;
  }
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
  TileRunner(Isa isa, const ActivationView& x, int n_threads)
      : kernels_(linear_kernels(isa)), choice_(int8_choice(isa, n_threads)), x_(x) {}

  // What suits the kernels of all jobs.
  TileRows rows(std::span<const LinearJob> jobs) const {
    TileRows rows{.unit = 1, .most = kMostTileRows};
    const auto fit = [&](const LinearWeight& weight) {
      const Int8Kernel* int8 = find_int8(kernels_, weight, x_);
      const TileRows of_weight = int8 ? choice_.rows(*int8, x_.m) : kExactTileRows;
      rows.most = std::min(rows.most, of_weight.most);
      rows.unit = std::min(std::max(rows.unit, of_weight.unit), rows.most);
    };
    for (const LinearJob& job : jobs) {
      fit(job.weight);
      if (job.gate) fit(*job.gate);
    }
    return rows;
  }

  // Computes a tile while the weights of `next`, this thread's next one, are on their way.
  void run(const TilePlace& at, const TilePlace& next) const {
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

  void multiply(const LinearWeight& weight, const TilePlace& at, const std::byte* next, float* out,
                const TileOutput* output) const {
    DCHECK(weight.k == x_.k);
    const LinearTile tile{.format = weight.format,
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
                          .factor = weight.factor,
                          .output = output};
    const Int8Kernel* int8 = find_int8(kernels_, weight, x_);
    DCHECK(int8 || x_.floats || kernels_.packed.empty());  // the reference takes any form
    (int8 ? choice_.kernel(*int8, at.n_rows, at.n_tokens) : find_exact(kernels_, weight, at.n_tokens))(tile);
  }

  const LinearKernels& kernels_;
  const Int8Choice choice_;
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
  const TileRunner runner(isa, x.view(), pool.size());
  const Tiles tiles(jobs, x.view().m, runner.rows(jobs), pool.size());
  TileQueue queue(tiles.n_units(), pool.size());
  pool.run([&](int) {
    TileStream stream(tiles, queue);
    for (TilePlace at = stream.next(); at.job;) {
      const TilePlace next = stream.next();
      runner.run(at, next);
      at = next;
    }
  });
}

}  // namespace tessera::kernels::cpu
