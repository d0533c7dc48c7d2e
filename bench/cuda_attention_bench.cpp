// Attention on a GPU, norms, rotation and cache included: the layers of Gemma 4 31B in decode and prefill, over random
// caches of bf16. Outputs of some heads are checked against float64, then recorded launches are timed; caches rotate
// among copies of three times the L2 together. `build/cuda/cuda_attention_bench` on a machine with a GPU.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <random>
#include <vector>

#include "base/float16.h"
#include "cuda_timing.h"

namespace tessera::kernels::cuda {
namespace {

struct Layer {
  const char* name;
  int n_heads, n_kv_heads, head_dim, window;
};
constexpr Layer kSliding = {"sliding", 32, 16, 256, 1024}, kFull = {"full", 32, 4, 512, 0};
constexpr float kScale = 0.15f, kEps = 1e-6f;
constexpr int kChunk = 2048;  // tokens a step may have: what a window's ring must hold besides

class AttentionBench {
 public:
  explicit AttentionBench(std::shared_ptr<Gpu> gpu) : gpu_(std::move(gpu)) {}
  void measure_limit();
  void run(const Layer& layer, int m, int position);
  bool is_right() const { return is_right_; }

 private:
  std::vector<uint16_t> random_bf16(size_t n) {
    std::vector<uint16_t> out(n);
    for (uint16_t& x : out) x = to_bf16(normal_(rng_)).bits;
    return out;
  }
  std::vector<float> random_weights(size_t n) {
    std::vector<float> out(n);
    for (float& x : out) x = 0.4f * normal_(rng_);
    return out;
  }
  template <typename T>
  Buffer upload(const std::vector<T>& values) {
    return need(gpu_->upload(std::as_bytes(std::span(values))));
  }
  template <typename T>
  std::vector<T> download(Address from, size_t n) {
    std::vector<T> out(n);
    need(gpu_->download(std::as_writable_bytes(std::span(out)), from));
    return out;
  }
  double sampled_error(const AttentionArgs& args, int position, const std::vector<uint16_t>& q,
                       const std::vector<float>& q_norm, const std::vector<double>& periods);

  std::shared_ptr<Gpu> gpu_;
  std::mt19937_64 rng_{std::random_device{}()};
  std::normal_distribution<float> normal_;
  double limit_ = 0;
  bool is_right_ = true;
};

void AttentionBench::measure_limit() {
  constexpr uint64_t kBytes = uint64_t{2} << 30;
  const Buffer data = need(gpu_->allocate(kBytes)), sums = need(gpu_->allocate(kReadChecksums * 4));
  const ReadArgs args{data.address(), sums.address(), kBytes};
  const Times t = time(*gpu_, 1, [&](int) { need(gpu_->run(&Api::read, args)); });
  limit_ = static_cast<double>(kBytes) / t.best / 1e9;
  fmt::print("{}: reads {:.0f} GB/s\n", gpu_->info().name, limit_);
}

// ||got - expected|| / ||expected|| over heads of a few tokens, the caches as the device has left them.
double AttentionBench::sampled_error(const AttentionArgs& args, int position, const std::vector<uint16_t>& q,
                                     const std::vector<float>& q_norm, const std::vector<double>& periods) {
  const auto d = static_cast<size_t>(args.head_dim), half = d / 2, slots = static_cast<size_t>(args.n_slots);
  const size_t n_cache = static_cast<size_t>(args.n_kv_heads) * slots * d;
  const auto keys = download<uint16_t>(args.k_cache, n_cache), values = download<uint16_t>(args.v_cache, n_cache);
  const auto out = download<uint16_t>(args.out, q.size());
  const auto value = [](uint16_t bits) { return static_cast<double>(to_f32(BF16{bits})); };
  double error = 0, norm = 0;
  for (int token = 0; token < args.m; token += std::max(1, args.m / 5)) {
    const int head = static_cast<int>(rng_() % static_cast<uint64_t>(args.n_heads)), last = position + token;
    const size_t at = (static_cast<size_t>(token) * static_cast<size_t>(args.n_heads) + static_cast<size_t>(head)) * d;
    std::vector<double> query(d), sum(d), weights;
    double squares = 0;
    for (size_t i = 0; i < d; ++i) squares += value(q[at + i]) * value(q[at + i]);
    const double factor = 1 / std::sqrt(squares / static_cast<double>(d) + static_cast<double>(kEps));
    for (size_t i = 0; i < half; ++i) {
      const double x = value(q[at + i]) * factor * static_cast<double>(q_norm[i]),
                   y = value(q[at + half + i]) * factor * static_cast<double>(q_norm[half + i]),
                   angle = last / periods[i];
      query[i] = x * std::cos(angle) - y * std::sin(angle);
      query[half + i] = x * std::sin(angle) + y * std::cos(angle);
    }
    const int first = args.window > 0 ? std::max(0, last - args.window + 1) : 0;
    const size_t kv_row = static_cast<size_t>(head / (args.n_heads / args.n_kv_heads)) * slots;
    const auto row = [&](int key) { return (kv_row + static_cast<size_t>(key) % slots) * d; };
    double total = 0;
    for (int key = first; key <= last; ++key) {
      double score = 0;
      for (size_t i = 0; i < d; ++i) score += query[i] * value(keys[row(key) + i]);
      weights.push_back(score * static_cast<double>(kScale));
    }
    const double largest = *std::ranges::max_element(weights);
    for (int key = first; key <= last; ++key) {
      const double weight = std::exp(weights[static_cast<size_t>(key - first)] - largest);
      total += weight;
      for (size_t i = 0; i < d; ++i) sum[i] += weight * value(values[row(key) + i]);
    }
    for (size_t i = 0; i < d; ++i) {
      const double expected = sum[i] / total, difference = value(out[at + i]) - expected;
      error += difference * difference, norm += expected * expected;
    }
  }
  const double relative = std::sqrt(error / norm);
  return std::isnan(relative) ? INFINITY : relative;
}

void AttentionBench::run(const Layer& layer, int m, int position) {
  const auto d = static_cast<size_t>(layer.head_dim), n_tokens = static_cast<size_t>(m),
             n_q = n_tokens * static_cast<size_t>(layer.n_heads) * d,
             n_kv = n_tokens * static_cast<size_t>(layer.n_kv_heads) * d;
  const int end = position + m, n_slots = layer.window > 0 ? std::min(end, layer.window + kChunk - 1) : end;
  const size_t n_cache = static_cast<size_t>(layer.n_kv_heads) * static_cast<size_t>(n_slots) * d;
  const auto q = random_bf16(n_q);
  const auto q_norm = random_weights(d), k_norm = random_weights(d);
  std::vector<double> periods;
  for (size_t i = 0; i < d / 2; ++i)
    periods.push_back(std::pow(1e4, static_cast<double>(2 * i) / static_cast<double>(d)));
  const int rows = m * (layer.n_heads / layer.n_kv_heads), of_block = attention_block_rows(rows, layer.head_dim);
  const int blocks = layer.n_kv_heads * ((rows + of_block - 1) / of_block);
  const int n_splits = std::clamp(gpu_->info().n_multiprocessors / blocks, 1, kMostPieces);
  const Buffer q_in = upload(q), k_in = upload(random_bf16(n_kv)), v_in = upload(random_bf16(n_kv)),
               q_weights = upload(q_norm), k_weights = upload(k_norm), at = upload(std::vector<int32_t>{position}),
               of_rotation = upload(periods), cos = need(gpu_->allocate(n_tokens * d * 2)),
               sin = need(gpu_->allocate(n_tokens * d * 2)), queries = need(gpu_->allocate(n_q * 4)),
               partial =
                   need(gpu_->allocate(attention_partial_bytes(int64_t{m} * layer.n_heads, n_splits, layer.head_dim))),
               counters = upload(std::vector<uint32_t>(static_cast<size_t>(layer.n_kv_heads) * kAttentionCounters)),
               out = upload(std::vector<uint16_t>(n_q, 0xffff));
  // Copies of the first: what they hold does not matter to the time.
  const auto k_values = random_bf16(n_cache), v_values = random_bf16(n_cache);
  std::vector<Buffer> k_caches, v_caches;
  for (uint64_t bytes = 0; bytes < (m == 1 ? kRotatedBytes : 1); bytes += 4 * n_cache)
    k_caches.push_back(upload(k_values)), v_caches.push_back(upload(v_values));
  AttentionArgs args{.q = q_in.address(),
                     .k = k_in.address(),
                     .v = v_in.address(),
                     .q_norm = q_weights.address(),
                     .k_norm = k_weights.address(),
                     .cos = cos.address(),
                     .sin = sin.address(),
                     .position = at.address(),
                     .queries = queries.address(),
                     .partial = partial.address(),
                     .counters = counters.address(),
                     .out = out.address(),
                     .element = Element::kBF16,
                     .kv_element = Element::kBF16,
                     .out_element = Element::kBF16,
                     .m = m,
                     .n_heads = layer.n_heads,
                     .n_kv_heads = layer.n_kv_heads,
                     .head_dim = layer.head_dim,
                     .n_slots = n_slots,
                     .window = layer.window,
                     .n_splits = n_splits,
                     .eps = kEps,
                     .scale = kScale,
                     .made = {}};
  need(gpu_->run(&Api::rope_table, RopeTableArgs{of_rotation.address(), at.address(), cos.address(), sin.address(), m,
                                                 layer.head_dim / 2}));
  need(gpu_->synchronize());
  const auto launch = [&](int copy) {
    args.k_cache = k_caches[static_cast<size_t>(copy) % k_caches.size()].address();
    args.v_cache = v_caches[static_cast<size_t>(copy) % v_caches.size()].address();
    need(gpu_->run(&Api::attention, args));
  };
  launch(0);
  const double error = sampled_error(args, position, q, q_norm, periods);
  const Times t = time(*gpu_, static_cast<int>(std::max<size_t>(4, k_caches.size())), launch);
  double pairs = 0;  // of a query and a key it sees
  for (int i = 0; i < m; ++i) pairs += layer.window > 0 ? std::min(position + i + 1, layer.window) : position + i + 1;
  const double flops = 4.0 * pairs * layer.n_heads * layer.head_dim;
  const double n_keys = layer.window > 0 ? std::min(end, layer.window + m - 1) : end;
  const double gb_s = n_keys * layer.n_kv_heads * layer.head_dim * 4 / t.best / 1e9;
  fmt::print(
      "{:7} {:4} tokens at {:5}  {:9.2f} us (median {:9.2f})  {:6.0f} GB/s = {:5.1f} %  {:6.1f} TFLOP/s  error "
      "{:.1e}{}\n",
      layer.name, m, position, t.best * 1e6, t.median * 1e6, gb_s, 100 * gb_s / limit_, flops / t.best / 1e12, error,
      error <= 1.5e-2 ? "" : "  WRONG");
  is_right_ &= error <= 1.5e-2;
}

int run() {
  auto gpu = first_gpu();
  if (!gpu) return 0;  // skipped, as it said
  AttentionBench bench(std::move(gpu));
  bench.measure_limit();
  for (const Layer& layer : {kSliding, kFull}) {
    for (const int position : {15, 63, 200, 511, 1023, 2047, 8191, 32767}) bench.run(layer, 1, position);
    for (const int m : {2, 16, 128, 512, 2048}) bench.run(layer, m, 0);
    bench.run(layer, 2048, 8192);
  }
  return bench.is_right() ? 0 : 1;
}

}  // namespace
}  // namespace tessera::kernels::cuda

int main() {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // a run that is cut off has said what it knew
  return tessera::kernels::cuda::run();
}
