// Attention on one thread, of prompts and of single tokens: percent of the f32 peak, and GB/s of keys and values. Each
// shape takes turns with loops of nothing but multiply-adds (turns.h).
//   attention_bench    f16 caches, two query heads to a KV head; heads of 256 see 1024 tokens, heads of 512 all
// TESSERA_ISA sets the instruction set.
#include "kernels/cpu/attention.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/scratch_buffer.h"
#include "kernels/cpu/limits_kernels.h"
#include "random_input.h"
#include "turns.h"

namespace tessera::kernels::cpu {
namespace {

constexpr int64_t kGroup = 2;
constexpr int64_t kPeakRounds = 20000;

struct Shape {
  int64_t head_dim, window;
  int64_t start, n_tokens;  // tokens before, and those of the step

  int64_t seen_by(int64_t position) const { return window > 0 ? std::min(position + 1, window) : position + 1; }
  int64_t end() const { return start + n_tokens; }
  int64_t operations() const {
    int64_t keys = 0;
    for (int64_t position = start; position < end(); ++position) keys += seen_by(position);
    return 4 * keys * kGroup * head_dim;
  }
  int64_t cache_bytes() const { return 2 * 2 * head_dim * (n_tokens + seen_by(start) - 1); }
};

constexpr Shape kShapes[] = {
    {256, 1024, 0, 64}, {512, 0, 0, 64},      {256, 1024, 464, 48}, {512, 0, 464, 48},    {256, 1024, 2000, 48},
    {512, 0, 2000, 48}, {256, 1024, 1536, 8}, {512, 0, 1536, 8},    {256, 1024, 2047, 1}, {512, 0, 4095, 1},
};

class AttentionBench {
 public:
  explicit AttentionBench(Isa isa) : floats_(float_kernels(isa)), limits_(limit_kernels(isa)) {}

  void measure(const Shape& shape) {
    const int64_t n_cache = shape.end() * shape.head_dim, n_rows = shape.n_tokens * kGroup * shape.head_dim;
    const std::vector<float> values = bench::normal_values(static_cast<size_t>(std::max(n_cache, n_rows)));
    auto* q = q_.reserve<float>(n_rows);
    std::copy_n(values.begin(), n_rows, q);
    uint16_t* caches[] = {k_.reserve<uint16_t>(n_cache), v_.reserve<uint16_t>(n_cache)};
    for (uint16_t* cache : caches) floats_.store(DType::kF16, values.data(), cache, n_cache);
    const AttentionArgs args{.q = q,
                             .out = out_.reserve<float>(n_rows),
                             .k_cache = caches[0],
                             .v_cache = caches[1],
                             .kv_dtype = DType::kF16,
                             .n_slots = shape.end(),
                             .start = shape.start,
                             .n_tokens = shape.n_tokens,
                             .n_heads = kGroup,
                             .n_kv_heads = 1,
                             .head_dim = shape.head_dim,
                             .window = shape.window,
                             .scale = 1 / 16.0f};
    const auto [seconds, of_peak] =
        bench::least_in_turn([&] { attention(pool_, floats_, args, scratch_); }, [&] { limits_.fmas(kPeakRounds); });
    const double peak = static_cast<double>(kPeakRounds * limits_.ops_per_fma_round) / of_peak;
    fmt::print("{:6} {:6} {:6} {:9.3f} {:8.1f} {:8.1f}\n", shape.head_dim, shape.start, shape.n_tokens, seconds * 1e3,
               100 * static_cast<double>(shape.operations()) / seconds / peak,
               static_cast<double>(shape.cache_bytes()) / seconds * 1e-9);
  }

 private:
  const FloatKernels& floats_;
  const LimitKernels& limits_;
  ThreadPool pool_{1};
  AttentionScratch scratch_;
  ScratchBuffer q_, k_, v_, out_;
};

}  // namespace
}  // namespace tessera::kernels::cpu

int main() {
  using namespace tessera::kernels::cpu;
  AttentionBench bench(best_isa());
  fmt::print("{}\n{:>6} {:>6} {:>6} {:>9} {:>8} {:>8}\n", name_of(best_isa()), "head", "before", "tokens", "ms",
             "% peak", "GB/s");
  for (const Shape& shape : kShapes) bench.measure(shape);
}
