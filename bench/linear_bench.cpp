// gguf_linear on this machine: GB/s and GOP/s per format and number of tokens, against the limits measured in the same
// run. Weights rotate through copies that together are far larger than the last cache.
//   linear_bench [--benchmark_filter=...] prints, per format and m:
//     GB/s  bytes of weights per second, and of_read: that over the machine's read bandwidth
//     GOP/s 2 m n k per second, and of_peak: that over the peak of its arithmetic (int8 or f32)
// TESSERA_THREADS sets the number of threads (default: all), TESSERA_ISA the instruction set.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <cstdlib>
#include <cstring>
#include <new>
#include <vector>

#include "base/huge_pages.h"
#include "kernels/cpu/limits.h"
#include "kernels/cpu/linear.h"
#include "quant/format.h"
#include "random_input.h"

namespace tessera::kernels::cpu {
namespace {

constexpr int64_t kN = 10240, kK = 2560;
constexpr int64_t kRotatedBytes = int64_t{1} << 30;

ThreadPool& pool() {
  static ThreadPool pool(std::getenv("TESSERA_THREADS") ? std::atoi(std::getenv("TESSERA_THREADS")) : 0);
  return pool;
}

struct Limits {
  double read_gb_s = cpu::ReadLimit(pool(), best_isa()).gb_s(3);
  double int8_gop_s = cpu::int8_gop_s(pool(), best_isa());
  double f32_gflop_s = cpu::f32_gflop_s(pool(), best_isa());
};
const Limits& limits() {
  static const Limits limits;
  return limits;
}

// Copies of one matrix, in pages as a model's file is mapped.
HugeBytes random_weights(const LinearWeight& layout, int64_t n_copies) {
  const auto bytes = static_cast<size_t>(layout.bytes());
  HugeBytes out = allocate_huge(bytes * static_cast<size_t>(n_copies));
  if (!out) throw std::bad_alloc();
  if (layout.format)
    bench::fill_random_weights(*layout.format, layout.n * layout.k, out.get());
  else
    bench::fill_random_blocks(out.get(), bytes);
  for (size_t copy = 1; copy < static_cast<size_t>(n_copies); ++copy)
    std::memcpy(out.get() + copy * bytes, out.get(), bytes);
  return out;
}

// `layout` with its arrays one behind the other from `at` on.
LinearWeight placed_at(LinearWeight layout, const std::byte* at) {
  layout.data = at;
  layout.groups.scales = at + layout.n * layout.row_bytes();
  if (!layout.format) layout.groups.biases = layout.groups.scales + layout.n * layout.groups.param_row_bytes(layout.k);
  return layout;
}

void run_linear(benchmark::State& state, const LinearWeight& layout, Arithmetic arithmetic) {
  const int64_t m = state.range(0);
  const int64_t matrix = layout.bytes();
  const int64_t n_copies = std::max<int64_t>(1, kRotatedBytes / matrix);
  const auto weights = random_weights(layout, n_copies);
  const std::vector<float> x = bench::normal_values(static_cast<size_t>(m * kK));
  std::vector<float> out(static_cast<size_t>(m * kN));
  const Limits& limit = limits();
  int64_t copy = 0;
  Activations activations;
  const ActivationForms forms = layout.forms(arithmetic);
  for (auto _ : state) {
    activations.prepare(pool(), best_isa(), {.data = x.data(), .m = m, .k = kK, .row_stride = kK}, forms);
    const LinearJob job{.weight = placed_at(layout, weights.get() + copy * matrix),
                        .out = {.data = out.data(), .row_stride = kN}};
    linear(pool(), best_isa(), std::span(&job, 1), activations);
    copy = (copy + 1) % n_copies;
  }
  const auto count = static_cast<double>(state.iterations());
  const double bytes = static_cast<double>(matrix) * count * 1e-9,
               ops = static_cast<double>(2 * m * kN * kK) * count * 1e-9;
  const double peak = forms.floats ? limit.f32_gflop_s : limit.int8_gop_s;
  using benchmark::Counter;
  state.counters["GB/s"] = Counter(bytes, Counter::kIsRate);
  state.counters["of_read"] = Counter(bytes / limit.read_gb_s, Counter::kIsRate);
  state.counters["GOP/s"] = Counter(ops, Counter::kIsRate);
  state.counters["of_peak"] = Counter(ops / peak, Counter::kIsRate);
}

void register_linear(std::string_view name, const LinearWeight& layout) {
  for (const Arithmetic arithmetic : {Arithmetic::kInt8, Arithmetic::kExact}) {
    const bool floats = layout.forms(arithmetic).floats;
    if (arithmetic == Arithmetic::kInt8 && floats) continue;  // the same as exact
    benchmark::RegisterBenchmark(fmt::format("{}{}", name, floats ? "/exact" : "").c_str(), run_linear, layout,
                                 arithmetic)
        ->ArgName("m")
        ->ArgsProduct({{1, 2, 4, 8, 16, 32, 64, 128, 512}})
        ->UseRealTime()
        ->Unit(benchmark::kMillisecond);
  }
}

}  // namespace
}  // namespace tessera::kernels::cpu

int main(int argc, char** argv) {
  using namespace tessera;
  using namespace tessera::kernels::cpu;
  benchmark::Initialize(&argc, argv);
  for (const quant::Format& format : quant::all_formats())
    if (format.dequantize && kK % format.block_values == 0)
      register_linear(format.name, {.format = &format, .n = kN, .k = kK});
  for (const int bits : {2, 3, 4, 5, 6, 8})
    for (const int group : {32, 64, 128})
      register_linear(fmt::format("affine{}g{}", bits, group),
                      {.n = kN, .k = kK, .groups = {.bits = bits, .group_size = group, .dtype = DType::kF16}});
  const Limits& limit = limits();
  fmt::print("{}, {} threads: read {:.1f} GB/s, int8 {:.0f} GOP/s, f32 {:.0f} GFLOP/s; n {} k {}\n",
             name_of(best_isa()), pool().size(), limit.read_gb_s, limit.int8_gop_s, limit.f32_gflop_s, kN, kK);
  benchmark::RunSpecifiedBenchmarks();
}
