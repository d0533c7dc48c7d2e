// How linear() cuts the work, seen from outside: tiles of many rows, chunks of tokens.
#include <bit>

#include "kernels/cpu/linear.h"
#include "kernels/cpu/linear_kernels.h"
#include "kernels/cpu/linear_reference.h"
#include "kernels/cpu/linear_testing.h"
#include "test_util.h"

namespace tessera::kernels::cpu {
namespace {

using quant::GgmlType;
using testing::random_rows;
using testing::RandomWeight;
using testing::rows_of;
using testing::run;

// Weights so long that a tile may take kMatrixTileRows, the last one with a ragged end; the last chunk of tokens is
// short. A gate goes the same way.
TEST(LinearTiles, OfManyRows) {
  std::mt19937_64 rng = tessera::testing::fresh_rng();
  constexpr int64_t k = 512, n = 9 * kMatrixTileRows + 52, m = kTileTokens + 9;
  const auto x = random_rows(DType::kF32, m, k, rng);
  const InputRows rows = rows_of(x, DType::kF32, m, k);
  ThreadPool one(1);
  for (const GgmlType type : {GgmlType::kQ4_K, GgmlType::kQ6_K, GgmlType::kQ8_0}) {
    RandomWeight weight(*quant::find_format(type), n, k, rng), gate(*quant::find_format(type), n, k, rng);
    const LinearWeight gate_weight = gate.last_rows(n);
    Activations reference_x;
    reference_x.prepare(one, Isa::kScalar, rows, weight.last_rows(n).forms(Arithmetic::kInt8));
    std::vector<uint16_t> first;
    for (const Isa isa : available_isas()) {
      if (isa == Isa::kScalar) continue;
      const auto out = run(one, isa, weight.last_rows(n), rows, Arithmetic::kInt8);
      for (const int64_t t : {int64_t{0}, int64_t{16}, int64_t{495}, kTileTokens - int64_t{1}, m - 9, m - 1})
        for (int64_t r = 0; r < n; ++r)
          ASSERT_EQ(std::bit_cast<uint32_t>(out[static_cast<size_t>(t * n + r)]),
                    std::bit_cast<uint32_t>(dot_reference(weight.last_rows(n), r, reference_x.view(), t)))
              << cpu::name_of(isa) << " token " << t << " row " << r;
      std::vector<uint16_t> gated(static_cast<size_t>(m * n));
      Activations activations;
      activations.prepare(one, isa, rows, weight.last_rows(n).forms(Arithmetic::kInt8));
      const LinearJob job{.weight = weight.last_rows(n),
                          .out = {.dtype = DType::kF16, .data = gated.data(), .row_stride = n},
                          .gate = &gate_weight};
      linear(one, isa, std::span(&job, 1), activations);
      if (first.empty()) first = gated;
      EXPECT_TRUE(gated == first) << cpu::name_of(isa);
    }
  }
}

}  // namespace
}  // namespace tessera::kernels::cpu
