// One tile of a linear: a kernel alone, on one thread, weights and activations in a cache. Kernel and loops of nothing
// but products take turns (turns.h).
//   tile_bench [FORMAT...]    prints percent of the int8 peak, for rows of 2560 values and 1 to 192 tokens
// TESSERA_ISA sets the instruction set.
#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "kernels/cpu/limits_kernels.h"
#include "kernels/cpu/linear.h"
#include "kernels/cpu/linear_kernels.h"
#include "quant/format.h"
#include "random_input.h"
#include "turns.h"

namespace tessera::kernels::cpu {
namespace {

constexpr int64_t kK = 2560;
constexpr int64_t kPeakRounds = 1000;
constexpr int kTokens[] = {1, 2, 4, 8, 16, 64, 192};

class TileBench {
 public:
  explicit TileBench(Isa isa) : isa_(isa), kernels_(linear_kernels(isa)), limits_(limit_kernels(isa)) {}

  // Multiply-adds a second of a tile of m tokens, over those of the peak.
  double share_of_peak(const PackedFormat& of, int m) {
    const quant::Format& format = *quant::find_format(of.type);
    const int n_rows = choice_.rows(of.int8, m).most;
    const TileFn run = choice_.kernel(of.int8, n_rows, m);
    const LinearWeight weight{.format = &format, .n = n_rows, .k = kK};
    std::vector<std::byte> blocks(static_cast<size_t>(weight.bytes()));
    bench::fill_random_weights(format, n_rows * kK, blocks.data());
    Activations x;
    x.prepare(pool_, isa_, {.data = x_.data(), .m = m, .k = kK, .row_stride = kK}, weight.forms(Arithmetic::kInt8));
    const LinearTile tile{.format = &format,
                          .groups = {},
                          .weights = blocks.data(),
                          .row_bytes = weight.row_bytes(),
                          .n_rows = n_rows,
                          .next = blocks.data(),
                          .x = x.view(),
                          .n_tokens = m,
                          .out = out_,
                          .sums = sums_of_tile(n_rows, m),
                          .bias = nullptr,
                          .factor = 1,
                          .output = nullptr};
    const auto [of_tile, of_peak] = bench::least_in_turn([&] { run(tile); }, [&] { limits_.dots(kPeakRounds); });
    const double peak = static_cast<double>(kPeakRounds * limits_.ops_per_dot_round) / of_peak;
    return static_cast<double>(2 * m * n_rows * kK) / of_tile / peak;
  }

 private:
  Isa isa_;
  const LinearKernels& kernels_;
  const LimitKernels& limits_;
  ThreadPool pool_{1};
  const Int8Choice choice_ = int8_choice(isa_, pool_.size());
  const std::vector<float> x_ = bench::normal_values(kTokens[std::size(kTokens) - 1] * kK);
  alignas(64) float out_[kTileTokens * kMostTileRows];
};

}  // namespace
}  // namespace tessera::kernels::cpu

int main(int argc, char** argv) {
  using namespace tessera;
  using namespace tessera::kernels::cpu;
  const std::vector<std::string_view> asked(argv + 1, argv + argc);
  const Isa isa = best_isa();
  const auto kernels = linear_kernels(isa).packed;
  const auto name_of_kernel = [](const PackedFormat& kernel) { return quant::find_format(kernel.type)->name; };
  for (const std::string_view name : asked)
    if (std::none_of(kernels.begin(), kernels.end(), [&](auto& kernel) { return name_of_kernel(kernel) == name; })) {
      fmt::print(stderr, "tile_bench: no int8 kernel of a format '{}'\n", name);
      return 1;
    }
  static TileBench tiles(isa);
  fmt::print("{}, percent of the int8 peak\n{:8}", kernels::cpu::name_of(isa), "tokens");
  for (const int m : kTokens) fmt::print("{:>8}", m);
  for (const PackedFormat& kernel : kernels) {
    const std::string_view name = name_of_kernel(kernel);
    if (!asked.empty() && std::find(asked.begin(), asked.end(), name) == asked.end()) continue;
    fmt::print("\n{:8}", name);
    for (const int m : kTokens) fmt::print("{:>8.1f}", 100 * tiles.share_of_peak(kernel, m));
  }
  fmt::print("\n");
}
