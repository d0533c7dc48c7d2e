#include "generate/generator.h"

#include <gtest/gtest.h>

#include "text/text_testing.h"

namespace tessera::generate {
namespace {

using text::testing::small_gemma4;
using text::testing::VocabularyBuilder;

// Says a script, one token a step, whatever it is fed.
class ScriptedModel : public TokenModel {
 public:
  ScriptedModel(std::vector<int32_t> script, int32_t vocab_size, int64_t capacity = 1000)
      : script_(std::move(script)), logits_(static_cast<size_t>(vocab_size)), capacity_(capacity) {}

  Result<std::span<const float>> step(std::span<const int32_t> tokens) override {
    if (fails_) return invalid_argument("the model is broken");
    seen_.insert(seen_.end(), tokens.begin(), tokens.end());
    std::fill(logits_.begin(), logits_.end(), 0.0f);
    if (runner_up_ >= 0) logits_[static_cast<size_t>(runner_up_)] = 1;
    logits_[static_cast<size_t>(script_[std::min(next_++, script_.size() - 1)])] = 9;
    return std::span<const float>(logits_);
  }
  int64_t position() const override { return std::ssize(seen_); }
  int64_t capacity() const override { return capacity_; }

  std::vector<int32_t> seen_;
  bool fails_ = false;
  int32_t runner_up_ = -1;

 private:
  std::vector<int32_t> script_;
  std::vector<float> logits_;
  int64_t capacity_;
  size_t next_ = 0;
};

class GeneratorTest : public ::testing::Test {
 protected:
  std::vector<int32_t> ids(std::string_view text) { return tokenizer_->encode(text, {.parse_special = true}); }
  ScriptedModel model(std::string_view script, int64_t capacity = 1000) {
    return {ids(script), tokenizer_->vocab_size(), capacity};
  }
  Generation run(TokenModel& model, GenerateOptions options, const TextCallback& on_text = {}) {
    options.sampling.temperature = 0;
    auto generation = generate(model, *tokenizer_, prompt_, options, on_text);
    EXPECT_TRUE(generation) << generation.error().message;
    return generation ? *generation : Generation{};
  }

  VocabularyBuilder builder_ = small_gemma4();
  std::unique_ptr<const text::Tokenizer> tokenizer_ = builder_.tokenizer();
  std::vector<int32_t> prompt_ = ids("<bos>x");
};

TEST_F(GeneratorTest, EndsAtAStopToken) {
  auto model = this->model("hello ü€<turn|>");
  std::vector<std::string> pieces;
  const auto generation = run(model, {}, [&](std::string_view piece) {
    pieces.emplace_back(piece);
    return true;
  });
  EXPECT_EQ(generation.text, "hello ü€");
  EXPECT_EQ(generation.tokens, ids("hello ü€"));
  EXPECT_EQ(generation.reason, StopReason::kStopToken);
  EXPECT_EQ(generation.stop_token, builder_.find("<turn|>"));
  EXPECT_EQ(generation.n_prompt, 2);
  EXPECT_EQ(generation.n_steps, std::ssize(generation.tokens));
  EXPECT_EQ(pieces.back(), "€");  // three byte tokens, shown once they are a character
  // All sampled tokens but the stop token have been fed back.
  auto fed = prompt_;
  fed.insert(fed.end(), generation.tokens.begin(), generation.tokens.end());
  EXPECT_EQ(model.seen_, fed);
}

TEST_F(GeneratorTest, StopTokensCanBeIgnored) {
  auto model = this->model("a<turn|>b");
  const auto generation = run(model, {.max_tokens = 3, .stop_at_stop_tokens = false, .show_special = true});
  EXPECT_EQ(generation.text, "a<turn|>b");
}

TEST_F(GeneratorTest, EndsAtMaxTokens) {
  auto model = this->model("abcdef");
  const auto generation = run(model, {.max_tokens = 3});
  EXPECT_EQ(generation.text, "abc");
  EXPECT_EQ(generation.reason, StopReason::kMaxTokens);
  EXPECT_EQ(generation.n_steps, 2);  // the last token was not fed: nobody wants its logits
  auto idle = this->model("abc");
  EXPECT_EQ(run(idle, {.max_tokens = 0}).tokens.size(), 0u);
}

TEST_F(GeneratorTest, EndsWhenTheContextIsFull) {
  auto model = this->model("abcdef", 4);
  const auto generation = run(model, {});
  EXPECT_EQ(generation.text, "abc");  // two of the four places went to the prompt, "c" needs none
  EXPECT_EQ(generation.reason, StopReason::kContextFull);
}

TEST_F(GeneratorTest, EndsAtAStopString) {
  auto model = this->model("abcdef");
  const auto generation = run(model, {.stop_strings = {"cd"}});
  EXPECT_EQ(generation.text, "ab");
  EXPECT_EQ(generation.reason, StopReason::kStopString);
}

TEST_F(GeneratorTest, ShowsWhatAStopStringHeldBack) {
  auto model = this->model("abc<turn|>");
  EXPECT_EQ(run(model, {.stop_strings = {"cd"}}).text, "abc");
}

TEST_F(GeneratorTest, HalfACharacterAtTheEndIsNotLost) {
  auto model =
      ScriptedModel({builder_.find("a"), builder_.find("<0xE2>"), builder_.find("<turn|>")}, tokenizer_->vocab_size());
  EXPECT_EQ(run(model, {}).text, "a\xe2");
}

TEST_F(GeneratorTest, TheCallbackMayCancel) {
  auto model = this->model("abcdef");
  const auto generation = run(model, {}, [](std::string_view piece) { return piece != "b"; });
  EXPECT_EQ(generation.text, "ab");
  EXPECT_EQ(generation.reason, StopReason::kCancelled);
}

TEST_F(GeneratorTest, ThePromptCountsForTheRepetitionPenalty) {
  auto model = this->model("xxxxxxx");
  GenerateOptions options{.max_tokens = 1};
  options.sampling.repetition_penalty = 100;
  options.sampling.repetition_window = -1;
  model.runner_up_ = builder_.find("y");
  EXPECT_EQ(run(model, options).text, "y");  // "x" is in the prompt: 9 / 100 against 1
  options.sampling.repetition_penalty = 1;
  EXPECT_EQ(run(model, options).text, "x");
}

TEST_F(GeneratorTest, RefusesWhatCannotBe) {
  auto model = this->model("a", 4);
  EXPECT_FALSE(generate(model, *tokenizer_, {}, {}));
  const auto too_long = generate(model, *tokenizer_, ids("<bos>abcd"), {});
  ASSERT_FALSE(too_long);
  EXPECT_EQ(too_long.error().code, ErrorCode::kOutOfRange);
  EXPECT_TRUE(model.seen_.empty());
  EXPECT_FALSE(generate(model, *tokenizer_, prompt_, {.sampling = {.temperature = -1}}));
  model.fails_ = true;
  EXPECT_FALSE(generate(model, *tokenizer_, prompt_, {}));
}

}  // namespace
}  // namespace tessera::generate
