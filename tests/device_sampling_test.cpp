// The sampling kernels against generate::Sampler: the same tokens from the same logits, rules and seed, draw after
// draw.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "generate/sampler.h"
#include "kernels/cuda/cuda_testing.h"

namespace tessera::testing {
namespace {

using generate::Sampler;
using generate::SamplingOptions;
using kernels::cuda::Address;
using kernels::cuda::Api;
using kernels::cuda::SampleArgs;
using kernels::cuda::SamplingRules;
using kernels::cuda::testing::random_floats;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

class SamplingOnDevice : public kernels::cuda::testing::OnDevice {
 protected:
  // Draws with one set of rules after another; the scratch is as the last draw left it.
  class Draws {
   public:
    Draws(SamplingOnDevice& test, size_t n, const SamplingOptions& options, const std::vector<int32_t>& suppressed,
          const std::vector<int32_t>& history)
        : test_(test) {
      const auto size = static_cast<int32_t>(n);
      const SamplingRules rules{.temperature = options.temperature,
                                .top_p = options.top_p,
                                .repetition_penalty = options.repetition_penalty,
                                .top_k = options.top_k,
                                .log_min_p = std::log(static_cast<double>(options.min_p)),
                                .seed = options.seed,
                                .n_draws = 0,
                                .n_suppressed = static_cast<int32_t>(suppressed.size()),
                                .window = options.repetition_window,
                                .n_history = static_cast<int64_t>(history.size())};
      std::vector<int32_t> ring(kHistory, 0);
      std::copy(history.begin(), history.end(), ring.begin());
      args_ = {.logits = 0,
               .rules = test.put(std::vector{rules}),
               .suppressed = test.put(suppressed),
               .history = test.put(ring),
               .scratch = test.put(std::vector<uint8_t>(kernels::cuda::sampling_scratch_bytes(size))),
               .token = test.poisoned(4),
               .n = size,
               .history_size = kHistory,
               .is_greedy = options.temperature == 0};
    }
    int32_t next(const std::vector<float>& logits) {
      args_.logits = test_.put(logits);
      test_.run(&Api::sample, args_);
      return test_.get<int32_t>(args_.token, 1)[0];
    }
    SamplingRules rules() { return test_.get<SamplingRules>(args_.rules, 1)[0]; }

   private:
    static constexpr int32_t kHistory = 40;
    SamplingOnDevice& test_;
    SampleArgs args_{};
  };

  size_t random(size_t n) { return rng_() % n; }
  template <typename T>
  T one_of(std::initializer_list<T> values) {
    return values.begin()[random(values.size())];
  }

  // Ordinary ones, flat ones, ones with many equals, all the same, some impossible, ones of any size.
  std::vector<float> random_logits(size_t n) {
    auto out = random_floats(n, rng_, one_of({3.0f, 0.01f, 8.0f}));
    const size_t kind = random(5);
    for (size_t i = 0; i < n; ++i) {
      if (kind == 1) out[i] = std::round(out[i] * 2) / 2;
      if (kind == 2) out[i] = -1.25f;
      if (kind == 3 && i % 3 != 0) out[i] = -kInfinity;
      if (kind == 4) out[i] = std::ldexp(out[i], static_cast<int>(i % 121));
    }
    return out;
  }
  SamplingOptions random_options(size_t n) {
    const auto size = static_cast<int32_t>(n);
    return {.temperature = one_of({1.0f, 0.3f, 0.0f, 1.7f, 40.0f, 1e-3f}),
            .top_k = one_of({0, 64, 1, 5, size, size + 1, 900}),
            .top_p = one_of({1.0f, 0.95f, 0.3f, 1e-6f}),
            .min_p = one_of({0.0f, 0.0f, 0.05f, 1.0f}),
            .repetition_penalty = one_of({1.0f, 1.0f, 1.3f, 0.7f}),
            .repetition_window = one_of({-1, 0, 3, 64}),
            .seed = rng_()};
  }
  std::vector<int32_t> random_ids(size_t n, size_t below) {
    std::vector<int32_t> out(n);
    for (int32_t& id : out) id = static_cast<int32_t>(random(below));
    return out;
  }

  // How many of n_draws were other tokens than the sampler's. A draw on the border of two tokens may be: those end the
  // comparison, for what follows depends on it.
  size_t count_differences(size_t n, const SamplingOptions& options, int n_draws) {
    const auto suppressed = random_ids(n > 8 ? random(3) : 0, n), history = random_ids(random(10), n);
    Sampler sampler(options, suppressed);
    for (int32_t id : history) sampler.accept(id);
    Draws draws(*this, n, options, suppressed, history);
    for (int i = 0; i < n_draws; ++i) {
      const auto logits = random_logits(n);
      const auto expected = sampler.sample(logits);
      const int32_t token = draws.next(logits);
      EXPECT_TRUE(expected) << expected.error().message;
      if (!expected || *expected != token) {
        EXPECT_TRUE(token >= 0 && token < std::ssize(logits)) << token;
        return 1;
      }
      sampler.accept(token);
    }
    const SamplingRules after = draws.rules();
    EXPECT_EQ(after.n_draws, options.temperature == 0 ? 0u : static_cast<uint64_t>(n_draws));
    EXPECT_EQ(after.n_history, std::ssize(history) + n_draws);
    return 0;
  }
};

TEST_P(SamplingOnDevice, DrawsTheSamplersTokens) {
  size_t n_differences = 0;
  for (int trial = 0; trial < 60; ++trial) {
    const size_t n = one_of({size_t{1}, size_t{2}, size_t{33}, size_t{700}, size_t{2048}, size_t{2049}, size_t{6001}});
    const SamplingOptions options = random_options(n);
    n_differences += count_differences(n, options, 3);
    if (n_differences > 1)
      FAIL() << "n " << n << " temperature " << options.temperature << " top-k " << options.top_k << " top-p "
             << options.top_p << " min-p " << options.min_p << " penalty " << options.repetition_penalty;
  }
}

// As many logits as Gemma's: many blocks, and with nothing but top-p many to sort.
TEST_P(SamplingOnDevice, AWholeVocabulary) {
  const size_t n = 262144;
  size_t n_differences = 0;
  for (const SamplingOptions& options :
       {SamplingOptions{.temperature = 0}, SamplingOptions{.top_k = 64, .top_p = 0.95f, .seed = rng_()},
        SamplingOptions{.temperature = 0.8f, .seed = rng_()}, SamplingOptions{.top_p = 0.9f, .seed = rng_()}})
    n_differences += count_differences(n, options, 1);
  EXPECT_LE(n_differences, 1u);
}

TEST_P(SamplingOnDevice, BadLogitsAreNamed) {
  for (const float temperature : {0.0f, 1.0f}) {
    const SamplingOptions options{.temperature = temperature, .top_k = 5};
    const size_t n = 5000;
    Draws draws(*this, n, options, {11}, {});
    auto logits = random_floats(n, rng_);
    logits[11] = kInfinity;  // suppressed
    EXPECT_GE(draws.next(logits), 0);
    logits[4000] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_EQ(draws.next(logits), kernels::cuda::kBadLogit - 4000);
    logits[3999] = kInfinity;
    EXPECT_EQ(draws.next(logits), kernels::cuda::kBadLogit - 3999);
    EXPECT_EQ(draws.next(std::vector<float>(n, -kInfinity)), kernels::cuda::kNoFiniteLogit);
    EXPECT_EQ(draws.rules().n_history, 1);
    EXPECT_GE(draws.next(random_floats(n, rng_)), 0);  // nothing of it stays behind
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, SamplingOnDevice, ::testing::Values("emulated", "gpu"),
                         kernels::cuda::testing::device_name);

}  // namespace
}  // namespace tessera::testing
