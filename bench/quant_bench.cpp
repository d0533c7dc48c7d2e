// Speed of the scalar quantizers and dequantizers on one thread, format by format. Bytes per second count the f32 side
// (what is read by a quantizer, written by a dequantizer); `packed` counts the blocks. Quantizers are verified first: a
// format whose error is out of range is reported as an error, not timed.
#include <benchmark/benchmark.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "quant/format.h"

namespace tessera::quant {
namespace {

// 4 MiB of f32: past the second-level cache, quick to quantize.
constexpr int64_t kValues = 1 << 20;

const std::vector<float>& gaussian_values() {
  static const std::vector<float> values = [] {
    std::mt19937_64 rng(1);
    std::normal_distribution<float> normal;
    std::vector<float> out(kValues);
    for (float& v : out) v = normal(rng);
    return out;
  }();
  return values;
}

double relative_error(const std::vector<float>& values, const std::vector<float>& truth) {
  double error = 0, norm = 0;
  for (size_t i = 0; i < truth.size(); ++i) {
    error += std::pow(double{values[i]} - double{truth[i]}, 2);
    norm += std::pow(double{truth[i]}, 2);
  }
  return std::sqrt(error / norm);
}

void set_rates(benchmark::State& state, const Format& format) {
  state.SetBytesProcessed(state.iterations() * kValues * 4);
  state.counters["packed"] = benchmark::Counter(static_cast<double>(state.iterations() * format.bytes_for(kValues)),
                                                benchmark::Counter::kIsRate, benchmark::Counter::kIs1000);
}

void bench_quantize(benchmark::State& state, const Format& format) {
  std::vector<char> blocks(static_cast<size_t>(format.bytes_for(kValues)));
  std::vector<float> values(kValues);
  format.quantize(gaussian_values().data(), kValues, blocks.data());
  format.dequantize(blocks.data(), kValues, values.data());
  const double error = relative_error(values, gaussian_values());
  if (!(error < 0.1)) return state.SkipWithError(("relative error " + std::to_string(error)).c_str());
  for (auto _ : state) {
    format.quantize(gaussian_values().data(), kValues, blocks.data());
    benchmark::ClobberMemory();
  }
  set_rates(state, format);
  state.counters["error"] = error;
}

void bench_dequantize(benchmark::State& state, const Format& format) {
  std::vector<char> blocks(static_cast<size_t>(format.bytes_for(kValues)));
  std::mt19937_64 rng(1);
  for (char& byte : blocks) byte = static_cast<char>(rng());
  std::vector<float> values(kValues);
  for (auto _ : state) {
    format.dequantize(blocks.data(), kValues, values.data());
    benchmark::ClobberMemory();
  }
  set_rates(state, format);
}

void register_all() {
  for (const Format& format : all_formats()) {
    const std::string name(format.name);
    if (format.quantize) {
      benchmark::RegisterBenchmark(("quantize/" + name).c_str(), bench_quantize, format)->Unit(benchmark::kMillisecond);
    }
    if (format.dequantize) {
      benchmark::RegisterBenchmark(("dequantize/" + name).c_str(), bench_dequantize, format)
          ->Unit(benchmark::kMillisecond);
    }
  }
}

}  // namespace
}  // namespace tessera::quant

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  tessera::quant::register_all();
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
