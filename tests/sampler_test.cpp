// The sampler inside a program, on logits given to it, executed as a host executes it.
#include "compile/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "model_testing.h"
#include "runtime/execute.h"

namespace tessera {
namespace {

using namespace testing;  // NOLINT: the test helpers

constexpr int64_t kKeepAll = std::numeric_limits<int64_t>::max();

ops::Tensor f32(Shape shape, const std::vector<float>& values) {
  auto out = *ops::Tensor::allocate(DType::kF32, shape);
  std::copy(values.begin(), values.end(), out.as<float>());
  return out;
}
ops::Tensor i64(Shape shape, const std::vector<int64_t>& values) {
  auto out = *ops::Tensor::allocate(DType::kI64, shape);
  std::copy(values.begin(), values.end(), out.as<int64_t>());
  return out;
}

struct Draw {
  float temperature = 1;
  int64_t top_k = kKeepAll;
  float top_p = 1;
  int64_t seed = 0;
};

std::vector<runtime::Argument> arguments(const Draw& draw) {
  return {f32({}, {draw.temperature}), i64({}, {draw.top_k}), f32({}, {draw.top_p}), i64({}, {draw.seed})};
}

// Only the sampler: logits, temperature, top_k, top_p, seed -> token.
class Sampler : public ::testing::Test {
 protected:
  Sampler() : program_(make()), execution_(*runtime::Execution::create(program_, {})) {}

  static program::Program make() {
    compile::ProgramBuilder builder(1);
    const auto n = static_cast<int64_t>(kLogits.size());
    const program::Tid logits = builder.input("logits", DType::kF32, {1, n});
    const auto inputs = compile::add_sampler_inputs(builder);
    builder.make_output(compile::emit_sampler(builder, inputs, logits, n), "token", DType::kI64, {1});
    auto program = std::move(builder).finish({});
    const Status verified = program::verify(program);
    EXPECT_TRUE(verified) << verified.error().message;
    return program;
  }
  int64_t draw(const Draw& draw) {
    std::vector<runtime::Argument> inputs = {f32({1, static_cast<int64_t>(kLogits.size())}, kLogits)};
    for (auto& argument : arguments(draw)) inputs.push_back(std::move(argument));
    const auto outputs = execution_.run(inputs);
    EXPECT_TRUE(outputs) << outputs.error().message;
    const auto& token = std::get<ops::Tensor>((*outputs)[0]);
    EXPECT_EQ(token.dtype, DType::kI64);
    EXPECT_EQ(token.shape, Shape({1}));
    return *token.as<int64_t>();
  }
  std::map<int64_t, int> counts(Draw draw_with, int n) {
    std::map<int64_t, int> out;
    for (int i = 0; i < n; ++i) {
      draw_with.seed = i;
      ++out[draw(draw_with)];
    }
    return out;
  }

  // Probabilities at temperature 1: 0.1, 0.4, 0.2, 0.3.
  static inline const std::vector<float> kLogits = {std::log(0.1f), std::log(0.4f), std::log(0.2f), std::log(0.3f)};
  program::Program program_;
  runtime::Execution execution_;
};

TEST_F(Sampler, ColdOrNarrowedToOneItTakesTheLikeliest) {
  for (int64_t seed = 0; seed < 20; ++seed) {
    EXPECT_EQ(draw({.temperature = 0, .seed = seed}), 1);
    EXPECT_EQ(draw({.temperature = -1, .seed = seed}), 1);
    EXPECT_EQ(draw({.temperature = 2, .top_k = 1, .seed = seed}), 1);
    EXPECT_EQ(draw({.temperature = 2, .top_p = 1e-6f, .seed = seed}), 1);
  }
}

TEST_F(Sampler, ASeedIsADraw) {
  for (int64_t seed = 0; seed < 20; ++seed) EXPECT_EQ(draw({.seed = seed}), draw({.seed = seed}));
  EXPECT_EQ(counts({}, 100).size(), 4u);
}

// 1000 draws: a share of p is within 4.5 standard deviations, sqrt(p (1 - p) / 1000), and the seeds are fixed.
TEST_F(Sampler, SharesAreTheProbabilities) {
  const auto got = counts({}, 1000);
  const double want[] = {0.1, 0.4, 0.2, 0.3};
  for (int64_t token = 0; token < 4; ++token) {
    const double p = want[token];
    EXPECT_NEAR(got.at(token) / 1000.0, p, 4.5 * std::sqrt(p * (1 - p) / 1000)) << token;
  }
}

TEST_F(Sampler, TopKAndTopPCutTheTail) {
  const auto two = counts({.top_k = 2}, 200);
  EXPECT_EQ(two.size(), 2u);
  EXPECT_TRUE(two.contains(1) && two.contains(3));
  // 0.4 alone is not half; 0.4 + 0.3 is.
  EXPECT_EQ(counts({.top_p = 0.5f}, 200).size(), 2u);
  EXPECT_EQ(counts({.top_p = 0.39f}, 200).size(), 1u);
  EXPECT_EQ(counts({.top_p = 0.75f}, 200).size(), 3u);
  EXPECT_EQ(counts({.top_k = 100}, 200).size(), 4u) << "more than there are";
}

// In a model: greedy draws follow the logits of the same model without a sampler.
TEST(SampledModel, GreedyTokensFollowTheLogits) {
  SKIP_WITHOUT_SHARED("vectors/gemma4-tiny");
  const Reference reference = load_reference("gemma4-tiny", "tiny-q4km");
  const program::Program program =
      compile_model(reference.gguf, {.dtype = DType::kF32, .max_seq_len = 48, .prefill_chunk = 5, .sampling = true});
  EXPECT_EQ(program.constant_methods.at("use_sampling"), std::vector<program::ConstantValue>{true});
  ASSERT_EQ(program.inputs.size(), 6u);
  EXPECT_EQ(program.outputs, (std::vector<program::IoTensor>{{DType::kI64, {1}, false}}));
  auto execution = runtime::Execution::create(program, {});
  ASSERT_TRUE(execution) << execution.error().message;
  const auto want = argmaxes(reference.logits, reference.vocab());
  for (size_t i = 0; i < 12; ++i) {
    std::vector<runtime::Argument> inputs = {i64({1, 1}, {reference.tokens[i]}), i64({1}, {static_cast<int64_t>(i)})};
    for (auto& argument : arguments({.temperature = 0})) inputs.push_back(std::move(argument));
    const auto outputs = execution->run(inputs);
    ASSERT_TRUE(outputs) << outputs.error().message;
    EXPECT_EQ(*std::get<ops::Tensor>((*outputs)[0]).as<int64_t>(), static_cast<int64_t>(want[i])) << i;
  }
}

// The same through a session, whose plan fuses everything but the sampler.
TEST(SampledModel, ASessionDrawsTheTokens) {
  SKIP_WITHOUT_SHARED("vectors/gemma4-tiny");
  const Reference reference = load_reference("gemma4-tiny", "tiny-q4km");
  const compile::CompileOptions options{.dtype = DType::kF32, .max_seq_len = 48, .prefill_chunk = 5, .sampling = true};
  const auto model = make_model(compile_model(reference.gguf, options), {.n_threads = 2});
  EXPECT_TRUE(model->samples());
  EXPECT_EQ(model->vocab_size(), static_cast<int64_t>(reference.vocab()));
  const auto session = make_session(model);
  const auto want = argmaxes(reference.logits, reference.vocab());
  const std::span<const int32_t> tokens = reference.tokens;
  size_t at = 0;
  for (size_t n : {12, 1, 6, 1}) {  // chunks of five; what those before the last draw is not looked at
    const auto token = session->sample(tokens.subspan(at, n), {});
    ASSERT_TRUE(token) << token.error().message;
    at += n;
    EXPECT_EQ(*token, static_cast<int32_t>(want[at - 1])) << "after " << at;
  }
  std::map<int64_t, int32_t> drawn;
  for (const int64_t seed : {1, 2, 3, 4, 1, 2, 3, 4}) {
    session->reset();
    const auto token = session->sample(tokens.first(7), {.temperature = 3, .seed = seed});
    ASSERT_TRUE(token) << token.error().message;
    EXPECT_EQ(drawn.try_emplace(seed, *token).first->second, *token) << seed;
  }
  std::set<int32_t> different;
  for (const auto& [seed, token] : drawn) different.insert(token);
  EXPECT_GT(different.size(), 1u);
}

TEST(SampledModel, LogitsAndTokensAreNotMixedUp) {
  SKIP_WITHOUT_SHARED("vectors/gemma4-tiny");
  const Reference reference = load_reference("gemma4-tiny", "tiny-q4km");
  const auto make = [&](bool sampling) {
    return compile_model(reference.gguf, {.dtype = DType::kF32, .max_seq_len = 48, .sampling = sampling});
  };
  const int32_t token = reference.tokens[0];
  const auto no_logits = make_session(make_model(make(true), {.n_threads = 1}))->step({&token, 1});
  ASSERT_FALSE(no_logits);
  EXPECT_NE(no_logits.error().message.find("samples inside"), std::string::npos);
  EXPECT_FALSE(make_session(make_model(make(false), {.n_threads = 1}))->sample({&token, 1}, {}));
  EXPECT_FALSE(runtime::Model::create(make(true), {.n_threads = 1, .all_logits = true}));
  auto nameless = make(true);
  nameless.constant_methods.erase("get_vocab_size");
  const auto model = runtime::Model::create(std::move(nameless), {.n_threads = 1});
  ASSERT_FALSE(model);
  EXPECT_NE(model.error().message.find("get_vocab_size"), std::string::npos);
}

}  // namespace
}  // namespace tessera
