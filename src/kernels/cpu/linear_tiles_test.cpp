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
using testing::RandomGroups;
using testing::RandomWeight;
using testing::rows_of;
using testing::run;

// Tokens of a call: few, and so many that the last chunk of them is short.
class LinearTiles : public ::testing::TestWithParam<int64_t> {
 protected:
  static constexpr int64_t kK = 512, kN = 9 * kMostTileRows + 52;  // the last tile has a ragged end
  const int64_t m_ = GetParam();
  std::mt19937_64 rng_ = tessera::testing::fresh_rng();
  const std::vector<std::byte> x_ = random_rows(DType::kF32, m_, kK, rng_);
  const InputRows rows_ = rows_of(x_, DType::kF32, m_, kK);
  ThreadPool one_{1};

  std::vector<uint16_t> gated(Isa isa, const LinearWeight& weight, const LinearWeight& gate) {
    std::vector<uint16_t> out(static_cast<size_t>(m_ * kN));
    Activations activations;
    activations.prepare(one_, isa, rows_, weight.forms(Arithmetic::kInt8));
    const LinearJob job{
        .weight = weight, .out = {.dtype = DType::kF16, .data = out.data(), .row_stride = kN}, .gate = &gate};
    linear(one_, isa, std::span(&job, 1), activations);
    return out;
  }

  // Against the reference, for some of the tokens; a gate goes the same way.
  void expect_equal(const LinearWeight& weight, const LinearWeight& gate) {
    Activations reference_x;
    reference_x.prepare(one_, Isa::kScalar, rows_, weight.forms(Arithmetic::kInt8));
    std::vector<uint16_t> first;
    for (const Isa isa : available_isas()) {
      if (isa == Isa::kScalar) continue;
      const auto out = run(one_, isa, weight, rows_, Arithmetic::kInt8);
      for (const int64_t t : {int64_t{0}, int64_t{16}, int64_t{495}, kTileTokens - int64_t{1}, m_ - 9, m_ - 1})
        for (int64_t r = 0; 0 <= t && t < m_ && r < kN; ++r)
          ASSERT_EQ(std::bit_cast<uint32_t>(out[static_cast<size_t>(t * kN + r)]),
                    std::bit_cast<uint32_t>(dot_reference(weight, r, reference_x.view(), t)))
              << cpu::name_of(isa) << " token " << t << " row " << r;
      const auto with_gate = gated(isa, weight, gate);
      if (first.empty()) first = with_gate;
      EXPECT_TRUE(with_gate == first) << cpu::name_of(isa);
    }
  }
};

TEST_P(LinearTiles, OfManyRows) {
  for (const GgmlType type : {GgmlType::kQ4_K, GgmlType::kQ6_K, GgmlType::kQ8_0}) {
    const quant::Format& format = *quant::find_format(type);
    RandomWeight weight(format, kN, kK, rng_), gate(format, kN, kK, rng_);
    expect_equal(weight.last_rows(kN), gate.last_rows(kN));
  }
}

TEST_P(LinearTiles, OfManyRowsInGroups) {
  RandomGroups weight(4, 64, DType::kBF16, kN, kK, rng_), gate(4, 64, DType::kBF16, kN, kK, rng_);
  expect_equal(weight.last_rows(kN), gate.last_rows(kN));
}

INSTANTIATE_TEST_SUITE_P(Tokens, LinearTiles, ::testing::Values(1, 3, kTileTokens + 9));

}  // namespace
}  // namespace tessera::kernels::cpu
