#include <cmath>
#include <limits>

#include "ops/ops_testing.h"
#include "ops/ring_cache.h"
#include "ops/rope.h"
#include "ops/sdpa.h"
#include "ops/slice.h"
#include "test_util.h"

namespace tessera::ops {
namespace {

using namespace ops::testing;
using tessera::testing::fresh_rng;
constexpr auto kBad = ErrorCode::kInvalidArgument;
constexpr double kInf = std::numeric_limits<double>::infinity();
using Values = std::vector<double>;
using Offsets = std::vector<int64_t>;

// One row turned by complex multiplication.
Values rotated(Values row, int dims, bool traditional, const std::function<double(int)>& angle) {
  for (int i = 0; i < dims / 2; ++i) {
    double& a = row[static_cast<size_t>(traditional ? 2 * i : i)];
    double& b = row[static_cast<size_t>(traditional ? 2 * i + 1 : i + dims / 2)];
    const double length = std::hypot(a, b), direction = std::atan2(b, a) + angle(i);
    a = length * std::cos(direction);
    b = length * std::sin(direction);
  }
  return row;
}

TEST(Rope, TurnsPairsByPosition) {
  auto rng = fresh_rng();
  for (bool traditional : {false, true}) {
    const Tensor x = random(rng, DType::kF32, {2, 3, 4, 10});
    const RopeArgs args{6, traditional, 100.0f, 0.5f};
    const Offsets offsets{7, 20};
    const Values found = values_of(rope(x, offsets, args));
    for (int64_t row = 0; row < 24; ++row) {
      const auto p = static_cast<double>(offsets[static_cast<size_t>(row / 12)] + row % 4) * 0.5;
      Values source(10);
      load(x, row * 10, 10, source.data());
      const Values expected = rotated(source, 6, traditional, [&](int i) { return p * std::pow(100.0, -i / 3.0); });
      for (size_t i = 0; i < 10; ++i) EXPECT_NEAR(found[static_cast<size_t>(row) * 10 + i], expected[i], 2e-6);
    }
  }
}

TEST(Rope, FreqsArePeriods) {
  auto rng = fresh_rng();
  const Tensor x = random(rng, DType::kF32, {1, 5, 4}), periods = f32({2}, {1, 10});
  const RopeArgs by_base{4, false, 100.0f, 1.0f}, by_period{4, false, 3.0f, 1.0f, &periods};
  const auto turned = rope(x, Offsets{11}, by_period);
  expect_tensor(turned, DType::kF32, x.shape, values_of(turned));
  const Values found_turned = values_of(turned), expected = values_of(rope(x, Offsets{11}, by_base));
  ASSERT_EQ(found_turned.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {  // roundings are of a pair's values, which may cancel in one of them
    const double size = std::fabs(expected[i]) + std::fabs(expected[i ^ 2]);
    EXPECT_NEAR(found_turned[i], expected[i], 40 * one_rounding(DType::kF32, size)) << "element " << i;
  }
  const Tensor infinite = f32({2}, {1, kInf});  // a pair that does not turn
  const Values found = values_of(rope(x, Offsets{3}, {4, false, 1, 1, &infinite}));
  EXPECT_EQ(found[1], at(x, {0, 0, 1}));
  EXPECT_EQ(found[3], at(x, {0, 0, 3}));
}

TEST(Rope, RoundsCosAndSinToTheDTypeOfX) {
  const Tensor x = tensor(DType::kBF16, {1, 1, 2}, {1, 0});
  const auto bf16 = [](double v) { return round_to(DType::kBF16, v); };
  expect_tensor(rope(x, Offsets{1}, {2, false, 10000, 1}), DType::kBF16, {1, 1, 2},
                {bf16(std::cos(1)), bf16(std::sin(1))}, 0);
}

TEST(Rope, RefusesBadArguments) {
  const Tensor x = counting(DType::kF32, {1, 2, 4}), periods = f32({3}, {1, 2, 3});
  expect_error(rope(x, Offsets{0}, {0}), kBad, "dims must be even");
  expect_error(rope(x, Offsets{0}, {3}), kBad, "dims must be even");
  expect_error(rope(x, Offsets{0}, {6}), kBad, "dims must be even");
  expect_error(rope(x, Offsets{0, 1}, {4}), kBad, "2 offsets");
  expect_error(rope(x.reshaped({2, 4}), Offsets{0}, {4}), kBad, "rank 3");
  expect_error(rope(x, Offsets{0}, {4, false, 1, 1, &periods}), kBad, "must have shape [2]");
  expect_error(rope(cast(x, DType::kI32).value(), Offsets{0}, {4}), kBad, "float");
}

// softmax over allowed keys, written out.
Values attention_reference(const Tensor& q, const Tensor& k, const Tensor& v, double scale,
                           const std::function<double(const std::vector<int64_t>&)>& bias) {
  Values out;
  const int64_t group = q.shape[1] / k.shape[1];
  for_each_index({q.shape[0], q.shape[1], q.shape[2], v.shape[3]}, [&](const auto& i) {
    double total = 0, sum = 0;
    for (int64_t j = 0; j < k.shape[2]; ++j) {
      double score = 0;
      for (int64_t d = 0; d < q.shape[3]; ++d)
        score += at(q, {i[0], i[1], i[2], d}) * at(k, {i[0], i[1] / group, j, d});
      const double weight = std::exp(score * scale + bias({i[0], i[1], i[2], j}));
      total += weight;
      sum += weight * at(v, {i[0], i[1] / group, j, i[3]});
    }
    out.push_back(sum / total);
  });
  return out;
}

TEST(Sdpa, GroupedHeadsAndEveryMask) {
  auto rng = fresh_rng();
  const Tensor q = random(rng, DType::kF32, {2, 4, 3, 8}), k = random(rng, DType::kF32, {2, 2, 5, 8}),
               v = random(rng, DType::kF32, {2, 2, 5, 6});
  const Shape out{2, 4, 3, 6};
  expect_tensor(sdpa(q, k, v, 0.3f, nullptr, false), DType::kF32, out,
                attention_reference(q, k, v, static_cast<double>(0.3f), [](const auto&) { return 0.0; }), 4);
  // Lower-right aligned: the last query sees the last key.
  expect_tensor(sdpa(q, k, v, 0.5f, nullptr, true), DType::kF32, out,
                attention_reference(q, k, v, 0.5, [](const auto& i) { return i[3] <= i[2] + 2 ? 0.0 : -kInf; }), 4);
  const Tensor allowed = boolean({3, 5}, {1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 1, 1, 1, 1});
  expect_tensor(sdpa(q, k, v, 0.5f, &allowed, false), DType::kF32, out,
                attention_reference(q, k, v, 0.5,
                                    [&](const auto& i) {
                                      return at(allowed, {i[2], i[3]}) != 0 ? 0.0 : -kInf;
                                    }),
                4);
  const Tensor added = random(rng, DType::kF32, {2, 1, 1, 5});
  expect_tensor(sdpa(q, k, v, 0.5f, &added, false), DType::kF32, out,
                attention_reference(q, k, v, 0.5,
                                    [&](const auto& i) {
                                      return at(added, {i[0], 0, 0, i[3]});
                                    }),
                4);
  expect_error(sdpa(q, k, v, 0.5f, &added, true), kBad, "not both");
}

TEST(Sdpa, ARowThatSeesNothingIsUniform) {
  auto rng = fresh_rng();
  const Tensor q = random(rng, DType::kF32, {1, 1, 2, 4}), k = random(rng, DType::kF32, {1, 1, 3, 4});
  const Tensor v = f32({1, 1, 3, 1}, {1, 2, 6}), mask = boolean({2, 3}, {0, 0, 0, 1, 0, 0});
  expect_tensor(sdpa(q, k, v, 1, &mask, false), DType::kF32, {1, 1, 2, 1}, {3, 1});
}

TEST(Sdpa, PromotesAndChecks) {
  auto rng = fresh_rng();
  const Tensor q = random(rng, DType::kBF16, {1, 2, 1, 4}), k = random(rng, DType::kBF16, {1, 1, 3, 4});
  const Tensor v = random(rng, DType::kF16, {1, 1, 3, 4});
  EXPECT_EQ(sdpa(q, k, v, 1, nullptr, false)->dtype, DType::kF32);
  EXPECT_EQ(sdpa(q, k, k, 1, nullptr, false)->dtype, DType::kBF16);
  expect_error(sdpa(q, random(rng, DType::kBF16, {1, 1, 3, 5}), v, 1, nullptr, false), kBad, "k must have shape");
  expect_error(sdpa(q, k, random(rng, DType::kF16, {1, 1, 2, 4}), 1, nullptr, false), kBad, "v must have shape");
  const Tensor three = random(rng, DType::kBF16, {1, 3, 1, 4}), two = random(rng, DType::kBF16, {1, 2, 3, 4});
  expect_error(sdpa(three, two, two, 1, nullptr, false), kBad, "multiple");
}

TEST(SlidingAttention, SeesTheWindowOnly) {
  auto rng = fresh_rng();
  for (int64_t window : {0, 1, 3, 100}) {
    const Tensor q = random(rng, DType::kF32, {1, 2, 4, 8}), k = random(rng, DType::kF32, {1, 1, 9, 8});
    const Tensor v = random(rng, DType::kF32, {1, 1, 9, 8});
    const auto bias = [&](const std::vector<int64_t>& i) {
      const int64_t position = 5 + i[2];
      return i[3] <= position && (window == 0 || i[3] > position - window) ? 0.0 : -kInf;
    };
    expect_tensor(sliding_attention(q, k, v, 0.7f, window), DType::kF32, {1, 2, 4, 8},
                  attention_reference(q, k, v, static_cast<double>(0.7f), bias), 4);
  }
}

// The slot formulas against a ring that is really written.
TEST(RingCache, SlotsHoldWhatWasWrittenLast) {
  auto rng = fresh_rng();
  for (int round = 0; round < 50; ++round) {
    const auto window = static_cast<int64_t>(1 + rng() % 9), chunk = static_cast<int64_t>(1 + rng() % 5);
    const int64_t n_slots = window + chunk - 1;
    std::vector<int64_t> ring(static_cast<size_t>(n_slots), -1);
    for (int64_t end = 0; end < 60;) {
      const int64_t start = end, n = 1 + static_cast<int64_t>(rng() % static_cast<uint64_t>(chunk));
      for (; end < start + n; ++end) ring[static_cast<size_t>(end % n_slots)] = end;
      for (int64_t slot = 0; slot < n_slots; ++slot) {
        const int64_t held = ring[static_cast<size_t>(slot)];
        EXPECT_EQ(std::max<int64_t>(ring_position(slot, end, n_slots), -1), held);
        for (int64_t p = start; p < end; ++p)
          EXPECT_EQ(ring_attends(p, slot, end, n_slots, window), held >= 0 && held <= p && held > p - window);
      }
      for (int64_t p = start; p < end; ++p)  // whatever a query of this step may see is still there
        for (int64_t seen = std::max<int64_t>(0, p - window + 1); seen <= p; ++seen)
          EXPECT_EQ(ring[static_cast<size_t>(seen % n_slots)], seen);
    }
  }
}

}  // namespace
}  // namespace tessera::ops
