// The CUDA kernels' ladder: every shape of the table in docs/performance-gpu.md, checked against float64 on sampled
// outputs, then timed. `build/cuda/cuda_bench [--quick|--decode|--prefill]` on a machine with a GPU; without one it
// says why it cannot run. Attention: cuda_attention_bench.cpp.
//
// Times are of recorded launches replayed, so that launching is not in them; weights rotate among copies of three times
// the L2 together, so that none is in the cache. The limit is what a plain reading kernel reaches in the same run.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "cuda_timing.h"
#include "quant/format.h"

namespace tessera::kernels::cuda {
namespace {

class Ladder {
 public:
  struct Weight {
    const quant::Format* format;
    std::vector<std::byte> tile;  // kTileRows rows, of which the weight is made again and again
    std::vector<Buffer> copies;
  };
  static constexpr int64_t kTileRows = 16;

  explicit Ladder(std::shared_ptr<Gpu> gpu) : gpu_(std::move(gpu)) {
    parts_ = upload(std::vector<uint8_t>(kMatvecPartsBytes));
    matmul_parts_ = upload(std::vector<uint8_t>(kMatmulPartsBytes));
  }

  // GB/s of reading 2 GiB.
  double read_limit() {
    constexpr uint64_t kBytes = uint64_t{2} << 30;
    const Buffer data = need(gpu_->allocate(kBytes)), sums = need(gpu_->allocate(kReadChecksums * 4));
    const ReadArgs args{data.address(), sums.address(), kBytes};
    const Times t = time(*gpu_, 1, [&](int) { need(gpu_->run(&Api::read, args)); });
    limit_ = static_cast<double>(kBytes) / t.best / 1e9;
    fmt::print("{}: reads {:.0f} GB/s (best of {}, median {:.0f})\n\n", gpu_->info().name, limit_, kRepeats,
               static_cast<double>(kBytes) / t.median / 1e9);
    return limit_;
  }

  // TFLOP/s of the tensor cores on f16.
  double peak() {
    constexpr int kRounds = 4096, kBlocksEach = 4;
    const int n_blocks = gpu_->info().n_multiprocessors * kBlocksEach;
    const Buffer sums = need(gpu_->allocate(static_cast<uint64_t>(n_blocks) * kPeakThreads * 4));
    const PeakArgs args{sums.address(), n_blocks, kRounds};
    const Times t = time(*gpu_, 1, [&](int) { need(gpu_->run(&Api::peak, args)); });
    peak_ = kPeakFlops * kRounds * n_blocks / t.best / 1e12;
    fmt::print("multiplies {:.0f} TFLOP/s in f16 (median {:.0f})\n\n", peak_, peak_ * t.best / t.median);
    return peak_;
  }

  // One weight with every number of tokens.
  void linear(const char* format_name, int64_t n, int64_t k, const std::vector<int>& tokens) {
    const quant::Format& format = *quant::find_format(std::string_view(format_name));
    const Weight weight = make_weight(format, n, k);
    for (const int m : tokens) linear(weight, n, k, m);
  }
  void linear(const Weight& weight, int64_t n, int64_t k, int m) {
    const quant::Format& format = *weight.format;
    const std::vector<float> x = normal(static_cast<size_t>(m * k));
    const bool is_matrix = m > most_vec_tokens(*format_of(format));
    const int group = group_of(*format_of(format));
    const Form form = is_matrix ? Form::kF16Tiles : group > 0 ? Form::kInt8 : Form::kF32;
    const FormBytes bytes = form_bytes(form, m, static_cast<int32_t>(k), group);
    const Buffer floats = upload(x), codes = need(gpu_->allocate(bytes.q)), scales = need(gpu_->allocate(bytes.d)),
                 sums = need(gpu_->allocate(bytes.sums)), values = need(gpu_->allocate(bytes.values)),
                 out = upload(std::vector<float>(static_cast<size_t>(m * n), NAN));
    const Activations a{.form = form,
                        .m = m,
                        .k = static_cast<int32_t>(k),
                        .group = group,
                        .q = codes.address(),
                        .d = scales.address(),
                        .sums = sums.address(),
                        .values = values.address()};
    need(gpu_->run(&Api::activations, ActivationsArgs{floats.address(), Element::kF32, a}));
    const auto run = [&](int copy) {
      LinearArgs args{.x = a, .format = *format_of(format), .n_jobs = 1, .jobs = {}};
      args.parts = is_matrix ? matmul_parts_.address() : parts_.address();
      args.jobs[0] = {.weight = weight.copies[static_cast<size_t>(copy) % weight.copies.size()].address(),
                      .gate = 0,
                      .bias = 0,
                      .out = out.address(),
                      .out_element = Element::kF32,
                      .n = static_cast<int32_t>(n)};
      need(gpu_->run(is_matrix ? &Api::matmul : &Api::matvec, args));
    };
    run(0);
    const double error = sampled_error(weight, x, out, m, n, k);
    const int n_launches =
        static_cast<int>(std::max<size_t>(weight.copies.size(), 24));  // how a replay begins is little of it
    const Times t = time(*gpu_, n_launches, run);
    const double flops = 2.0 * m * static_cast<double>(n) * static_cast<double>(k);
    const double gb_s = static_cast<double>(n * format.bytes_for(k)) / t.best / 1e9;
    fmt::print(
        "{:5} {:6} x {:5}  n {:4}  {:9.2f} us (median {:9.2f})  {:6.0f} GB/s = {:5.1f} %  {:6.1f} TFLOP/s = {:4.1f} %  "
        "error {:.1e}{}\n",
        format.name, n, k, m, t.best * 1e6, t.median * 1e6, gb_s, 100 * gb_s / limit_, flops / t.best / 1e12,
        100 * flops / t.best / 1e12 / peak_, error, error <= kTolerance ? "" : "  WRONG");
    is_right_ &= error <= kTolerance;
  }

  // The choice of a token among Gemma's vocabulary, logits as a model gives them.
  void sampling(const char* name, float temperature, int top_k, float top_p) {
    constexpr int32_t n = 262144;
    auto logits = normal(n);
    for (float& x : logits) x = 3 * x - 4;
    const SamplingRules rules{.temperature = temperature,
                              .top_p = top_p,
                              .repetition_penalty = 1,
                              .top_k = top_k,
                              .log_min_p = -INFINITY,
                              .seed = 1};
    const Buffer x = upload(logits), on_device = upload(std::vector{rules}), ids = upload(std::vector<int32_t>(1024)),
                 scratch = upload(std::vector<uint8_t>(sampling_scratch_bytes(n))),
                 token = need(gpu_->allocate(sizeof(int32_t)));
    const SampleArgs args{.logits = x.address(),
                          .rules = on_device.address(),
                          .suppressed = ids.address(),
                          .history = ids.address(),
                          .scratch = scratch.address(),
                          .token = token.address(),
                          .n = n,
                          .history_size = 1024,
                          .is_greedy = temperature == 0};
    const Times t = time(*gpu_, 8, [&](int) { need(gpu_->run(&Api::sample, args)); });
    int32_t chosen = -1;
    need(gpu_->download(std::as_writable_bytes(std::span(&chosen, 1)), token.address()));
    const bool is_best = chosen >= 0 && logits[static_cast<size_t>(chosen)] == *std::ranges::max_element(logits);
    is_right_ &= chosen >= 0 && (temperature != 0 || is_best);
    fmt::print("sampling {:16} {:9.2f} us (median {:9.2f})\n", name, t.best * 1e6, t.median * 1e6);
  }

  // From pageable memory that is there: what loading a model from the page cache can reach.
  void uploading() {
    constexpr uint64_t kBytes = uint64_t{4} << 30;
    const std::vector<std::byte> bytes(kBytes, std::byte{1});
    const Buffer to = need(gpu_->allocate(kBytes));
    double best = 0;
    for (int i = 0; i < 4; ++i) {
      const auto start = std::chrono::steady_clock::now();
      need(gpu_->upload(to.address(), bytes));
      need(gpu_->synchronize());
      const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
      best = std::max(best, static_cast<double>(kBytes) / seconds.count() / 1e9);
    }
    fmt::print("upload {:.1f} GB/s\n", best);
  }

  bool is_right() const { return is_right_; }

  // Of int8 activations 7e-3 on average; one token's of sixteen rows passes 2e-2 once in some thousand checks.
  static constexpr double kTolerance = 2e-2;

 private:
  std::vector<float> normal(size_t n) {
    std::normal_distribution<float> distribution;
    std::vector<float> out(n);
    for (float& x : out) x = distribution(rng_);
    return out;
  }
  template <typename T>
  Buffer upload(const std::vector<T>& values) {
    return need(gpu_->upload(std::as_bytes(std::span(values))));
  }

  Weight make_weight(const quant::Format& format, int64_t n, int64_t k) {
    Weight out{.format = &format, .tile = {}, .copies = {}};
    out.tile.resize(static_cast<size_t>(kTileRows * format.bytes_for(k)));
    const auto values = normal(static_cast<size_t>(kTileRows * k));
    format.quantize(values.data(), kTileRows * k, out.tile.data());
    std::vector<std::byte> all(static_cast<size_t>(n * format.bytes_for(k)));
    for (size_t at = 0; at < all.size(); at += out.tile.size())
      std::memcpy(all.data() + at, out.tile.data(), std::min(out.tile.size(), all.size() - at));
    for (uint64_t bytes = 0; bytes < kRotatedBytes; bytes += all.size())
      out.copies.push_back(need(gpu_->upload(std::span<const std::byte>(all))));
    return out;
  }

  // ||got - expected|| / ||expected|| over rows spread through the weight, expected in float64.
  double sampled_error(const Weight& weight, const std::vector<float>& x, const Buffer& out, int m, int64_t n,
                       int64_t k) {
    std::vector<float> got(static_cast<size_t>(m * n)), row(static_cast<size_t>(k));
    need(gpu_->download(std::as_writable_bytes(std::span(got)), out.address()));
    double error = 0, norm = 0;
    for (int64_t r = 0; r < n; r += (n / 97) | 1) {  // an odd step meets all rows of the tile
      weight.format->dequantize(weight.tile.data() + r % kTileRows * weight.format->bytes_for(k), k, row.data());
      for (int64_t t = 0; t < m; t += std::max(1, m / 8)) {
        double sum = 0;
        for (int64_t i = 0; i < k; ++i)
          sum +=
              static_cast<double>(row[static_cast<size_t>(i)]) * static_cast<double>(x[static_cast<size_t>(t * k + i)]);
        const double difference = static_cast<double>(got[static_cast<size_t>(t * n + r)]) - sum;
        error += difference * difference;
        norm += sum * sum;
      }
    }
    const double relative = std::sqrt(error / norm);
    return std::isnan(relative) ? INFINITY : relative;
  }

  std::shared_ptr<Gpu> gpu_;
  Buffer parts_, matmul_parts_;  // scratch of matvec and of matmul
  std::mt19937_64 rng_{std::random_device{}()};
  double limit_ = 0, peak_ = 0;
  bool is_right_ = true;
};

// part: all, or a part of the ladder; --quick leaves out what a look at every kernel does not need.
int run(std::string_view part) {
  if (!part.empty() && part != "--quick" && part != "--decode" && part != "--prefill") {
    fmt::print(stderr, "cuda_bench: \"{}\" is no part of the ladder; --quick, --decode and --prefill are\n", part);
    return 2;
  }
  auto gpu = first_gpu();
  if (!gpu) return 0;  // skipped, as it said
  Ladder ladder(std::move(gpu));
  ladder.read_limit();
  ladder.peak();
  const bool has_decode = part != "--prefill", has_prefill = part != "--decode", is_quick = part == "--quick";
  const std::vector<int> few{1, 2, 4, 8, 16}, many{32, 64, 128, 512, 2048};
  const auto linear = [&](const char* format, int64_t n, int64_t k) {
    if (has_decode) ladder.linear(format, n, k, few);
    if (has_prefill) ladder.linear(format, n, k, many);
  };
  for (const char* format : {"Q4_K", "Q6_K", "Q5_K", "Q8_0", "Q4_0"}) {
    linear(format, 21504, 5376);
    if (!is_quick) linear(format, 5376, 21504);
  }
  if (has_decode) {
    for (const char* format : {"BF16", "F16", "F32"}) ladder.linear(format, 21504, 5376, few);
    for (int64_t k : {5376, 21504}) ladder.linear("BF16", 5376, k, few);
  }
  if (has_prefill)
    for (const char* format : {"BF16", "F16"}) ladder.linear(format, 21504, 5376, {64, 512, 2048});
  if (has_decode) {
    ladder.linear("Q6_K", 262144, 5376, {1});
    ladder.sampling("greedy", 0, 0, 1);
    ladder.sampling("top-k 64, p 0.95", 1, 64, 0.95f);
    ladder.sampling("top-p 0.9", 1, 0, 0.9f);
    ladder.sampling("temperature", 1, 0, 1);
  }
  if (part.empty()) ladder.uploading();
  return ladder.is_right() ? 0 : 1;
}

}  // namespace
}  // namespace tessera::kernels::cuda

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // a run that is cut off has said what it knew
  return tessera::kernels::cuda::run(argc > 1 ? argv[1] : "");
}
