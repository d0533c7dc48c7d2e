// How linear() cuts the work: which tiles there are, and, seen from outside, tiles of many rows and chunks of tokens.
#include "kernels/cpu/linear_tiles.h"

#include <bit>
#include <list>

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

// The outputs of all jobs, each of which some thread must compute once.
class Outputs {
 public:
  Outputs(std::span<const LinearJob> jobs, int64_t m) : jobs_(jobs), m_(m) {
    for (const LinearJob& job : jobs) n_times_.emplace_back(static_cast<size_t>(job.weight.n * m));
  }
  void count(const TilePlace& tile) {
    auto& n_times = n_times_[static_cast<size_t>(tile.job - jobs_.data())];
    for (int64_t row = tile.row; row < tile.row + tile.n_rows; ++row)
      for (int64_t token = tile.token; token < tile.token + tile.n_tokens; ++token)
        ++n_times[static_cast<size_t>(row * m_ + token)];
  }
  bool are_complete() const {
    return std::all_of(n_times_.begin(), n_times_.end(), [](const std::vector<int>& n_times) {
      return std::all_of(n_times.begin(), n_times.end(), [](int n) { return n == 1; });
    });
  }

 private:
  std::span<const LinearJob> jobs_;
  int64_t m_;
  std::vector<std::vector<int>> n_times_;
};

constexpr TileRows kFewTokenRows = {.unit = kPanelRows, .most = kMostTileRows};
constexpr TileRows kMatrixRows = {.unit = kMatrixTileRows, .most = kMatrixTileRows};

TEST(Tiles, AreAllOutputsOnce) {
  auto rng = tessera::testing::fresh_rng();
  for (const TileRows rows : {TileRows{}, kExactTileRows, kFewTokenRows, kMatrixRows})
    for (const int64_t m : {1, 13, 512, 513, 1100})
      for (const int n_threads : {1, 2, 16}) {
        std::vector<LinearJob> jobs(1 + rng() % 3);
        for (LinearJob& job : jobs) job.weight.n = 1 + static_cast<int64_t>(rng() % 900);
        const Tiles tiles(jobs, m, rows, n_threads);
        TileQueue queue(tiles.n_units(), n_threads);
        std::list<TileStream> streams(static_cast<size_t>(n_threads), TileStream(tiles, queue));
        Outputs outputs(jobs, m);
        while (!streams.empty()) {  // whichever thread is ready next
          const auto stream = std::next(streams.begin(), static_cast<std::ptrdiff_t>(rng() % streams.size()));
          const TilePlace tile = stream->next();
          if (!tile.job) {
            streams.erase(stream);
            continue;
          }
          ASSERT_TRUE(0 < tile.n_rows && tile.n_rows <= rows.most && 0 < tile.n_tokens && tile.n_tokens <= kTileTokens);
          outputs.count(tile);
        }
        EXPECT_TRUE(outputs.are_complete()) << rows.unit << " rows, " << m << " tokens, " << n_threads << " threads";
      }
}

// A stream reads hundreds of neighbouring rows; at the end a panel's time is all that threads can be apart.
TEST(Tiles, AreLargeFirstAndSmallAtTheEnd) {
  LinearJob job{};
  job.weight.n = 10240;
  const Tiles tiles(std::span(&job, 1), 1, kFewTokenRows, 2);
  TileQueue queue(tiles.n_units(), 2);
  TileStream one(tiles, queue), other(tiles, queue);
  EXPECT_EQ(one.next().n_rows, kMostTileRows);
  int last = 0;
  for (TilePlace tile = other.next(); tile.job; tile = other.next()) last = tile.n_rows;
  EXPECT_EQ(last, kPanelRows);
}

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
