#include "generate/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <set>

#include "test_util.h"

namespace tessera::generate {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

int32_t sampled(Sampler& sampler, const std::vector<float>& logits) {
  const auto token = sampler.sample(logits);
  EXPECT_TRUE(token) << token.error().message;
  return token ? *token : -1;
}

// The tokens that many draws bring up.
std::set<int32_t> drawn(const SamplingOptions& options, const std::vector<float>& logits,
                        std::vector<int32_t> suppressed = {}, int n_draws = 5000) {
  Sampler sampler(options, suppressed);
  std::set<int32_t> tokens;
  for (int i = 0; i < n_draws; ++i) tokens.insert(sampled(sampler, logits));
  return tokens;
}

TEST(Sampler, GreedyTakesTheLargestAndOfEqualsTheFirst) {
  Sampler sampler({.temperature = 0, .top_k = 1, .top_p = 0.1f});
  EXPECT_EQ(sampled(sampler, {1, 5, 3, 5}), 1);
  EXPECT_EQ(sampled(sampler, {-kInf, -3, -2}), 2);
}

TEST(Sampler, SuppressedTokensNeverCome) {
  const std::vector<int32_t> suppressed = {1, 77, -5};
  Sampler greedy({.temperature = 0}, suppressed);
  EXPECT_EQ(sampled(greedy, {1, 5, 3}), 2);
  EXPECT_EQ(drawn({}, {0, 0, 0}, {1}), (std::set<int32_t>{0, 2}));
}

TEST(Sampler, TopKKeepsTheBest) {
  EXPECT_EQ(drawn({.top_k = 2}, {0, 1, 2, 1.5f, -kInf}), (std::set<int32_t>{2, 3}));
  EXPECT_EQ(drawn({.top_k = 2}, {1, 1, 1}), (std::set<int32_t>{0, 1}));  // of equals the first
  EXPECT_EQ(drawn({.top_k = 99}, {1, 1, 1}), (std::set<int32_t>{0, 1, 2}));
}

TEST(Sampler, TopPKeepsTheFewestThatHoldTheProbability) {
  const std::vector<float> logits = {std::log(0.1f), std::log(0.5f), std::log(0.25f), std::log(0.15f)};
  EXPECT_EQ(drawn({.top_p = 0.4f}, logits), (std::set<int32_t>{1}));
  EXPECT_EQ(drawn({.top_p = 0.6f}, logits), (std::set<int32_t>{1, 2}));
  EXPECT_EQ(drawn({.top_p = 0.8f}, logits), (std::set<int32_t>{1, 2, 3}));
  // After top-k the probabilities are those among the kept: 2/3 and 1/3.
  EXPECT_EQ(drawn({.top_k = 2, .top_p = 0.6f}, logits), (std::set<int32_t>{1}));
  // Temperature comes last: it does not change who is kept.
  EXPECT_EQ(drawn({.temperature = 50, .top_p = 0.6f}, logits), (std::set<int32_t>{1, 2}));
}

TEST(Sampler, MinPIsRelativeToTheBest) {
  const std::vector<float> logits = {std::log(0.1f), std::log(0.5f), std::log(0.25f), std::log(0.15f)};
  EXPECT_EQ(drawn({.min_p = 0.4f}, logits), (std::set<int32_t>{1, 2}));
  EXPECT_EQ(drawn({.min_p = 1}, logits), (std::set<int32_t>{1}));
}

TEST(Sampler, FrequenciesFollowTheSoftmax) {
  const std::vector<double> p = {0.1, 0.5, 0.25, 0.15};
  for (float temperature : {1.0f, 0.5f, 2.0f}) {
    std::vector<float> logits;
    double total = 0;
    for (double x : p) {
      logits.push_back(static_cast<float>(std::log(x)) + 7);
      total += std::pow(x, 1 / temperature);
    }
    Sampler sampler({.temperature = temperature, .seed = 11});
    std::vector<int> counts(4);
    constexpr int kDraws = 40000;
    for (int i = 0; i < kDraws; ++i) ++counts[static_cast<size_t>(sampled(sampler, logits))];
    for (size_t i = 0; i < p.size(); ++i) {
      const double expected = std::pow(p[i], 1 / temperature) / total;
      EXPECT_NEAR(counts[i] / double{kDraws}, expected, 5 * std::sqrt(expected / kDraws)) << temperature;
    }
  }
}

TEST(Sampler, RepetitionPenaltyWeighsAgainstRecentTokens) {
  SamplingOptions options{.temperature = 0, .repetition_penalty = 2, .repetition_window = 2};
  Sampler sampler(options);
  const std::vector<float> logits = {4, 3, -1, -1.5f};
  EXPECT_EQ(sampled(sampler, logits), 0);
  sampler.accept(0);
  sampler.accept(0);  // twice is penalized once: 4 / 2
  EXPECT_EQ(sampled(sampler, logits), 1);
  sampler.accept(1);  // 3 / 2 < 4 / 2
  EXPECT_EQ(sampled(sampler, logits), 0);
  sampler.accept(3);
  sampler.accept(2);  // 0 has left the window
  EXPECT_EQ(sampled(sampler, logits), 0);
  Sampler negative({.temperature = 0, .repetition_penalty = 2, .repetition_window = -1});
  negative.accept(0);
  negative.accept(99);  // no such token
  EXPECT_EQ(sampled(negative, {-1, -1.5f}), 1);
}

TEST(Sampler, BrokenLogitsAreErrors) {
  Sampler sampler({});
  for (float bad : {kInf, std::numeric_limits<float>::quiet_NaN()}) {
    const auto token = sampler.sample(std::vector<float>{0, 1, bad});
    ASSERT_FALSE(token);
    EXPECT_NE(token.error().message.find("token 2"), std::string::npos);
  }
  EXPECT_FALSE(sampler.sample(std::vector<float>{-kInf, -kInf}));
  EXPECT_FALSE(sampler.sample(std::vector<float>{}));
}

TEST(Sampler, SeedsDecide) {
  std::vector<float> logits(1000);
  std::iota(logits.begin(), logits.end(), 0.0f);
  for (float& logit : logits) logit = std::sin(logit);
  const auto sequence = [&](uint64_t seed) {
    Sampler sampler({.top_k = 64, .top_p = 0.95f, .seed = seed});
    std::vector<int32_t> tokens;
    for (int i = 0; i < 20; ++i) tokens.push_back(sampled(sampler, logits));
    return tokens;
  };
  EXPECT_EQ(sequence(1), sequence(1));
  EXPECT_NE(sequence(1), sequence(2));
}

TEST(Sampler, TheStreamNeverChanges) {  // a text written down with its seed must come again in later versions
  Sampler sampler({.seed = 42});
  std::vector<int32_t> tokens;
  for (int i = 0; i < 8; ++i) tokens.push_back(sampled(sampler, std::vector<float>(16, 0.0f)));
  EXPECT_EQ(tokens, (std::vector<int32_t>{11, 2, 4, 5, 0, 13, 3, 12}));
}

// The heap against a full sort, on a large vocabulary with ties.
TEST(Sampler, SelectionAgreesWithSorting) {
  auto rng = tessera::testing::fresh_rng();
  std::vector<float> logits(3000);
  for (float& logit : logits) logit = static_cast<float>(rng() % 600) / 100.0f;
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return logits[static_cast<size_t>(a)] > logits[static_cast<size_t>(b)];
  });
  for (int32_t k : {1, 2, 64, 1000}) {
    const std::set<int32_t> allowed(order.begin(), order.begin() + k);
    for (int32_t token : drawn({.temperature = 100, .top_k = k}, logits, {}, 500))
      EXPECT_TRUE(allowed.contains(token)) << k;
  }
}

TEST(SamplingOptions, AreChecked) {
  EXPECT_TRUE(check(SamplingOptions{}));
  EXPECT_FALSE(check(SamplingOptions{.temperature = -1}));
  EXPECT_FALSE(check(SamplingOptions{.temperature = NAN}));
  EXPECT_FALSE(check(SamplingOptions{.top_k = -1}));
  EXPECT_FALSE(check(SamplingOptions{.top_p = 0}));
  EXPECT_FALSE(check(SamplingOptions{.top_p = 1.5f}));
  EXPECT_FALSE(check(SamplingOptions{.min_p = -0.1f}));
  EXPECT_FALSE(check(SamplingOptions{.repetition_penalty = 0}));
  EXPECT_FALSE(check(SamplingOptions{.repetition_window = -2}));
}

}  // namespace
}  // namespace tessera::generate
