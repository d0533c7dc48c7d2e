#include "compile/vocabulary_from_gguf.h"

#include <gtest/gtest.h>

#include "text/tokenizer.h"

namespace tessera::compile {
namespace {

using gguf::Metadata;
using gguf::Value;
using text::Merge;
using text::TokenType;
using text::Vocabulary;

const std::vector<std::string> kGemmaTokens = {
    "<pad>", "<eos>",    "<bos>", "<unk>", "<|turn>", "<turn|>", "<|tool_response>",
    "</s>",  "<image|>", "▁",     "a",     "b",       "ab",      "▁ab"};

// What early files look like: end markers typed normal, add_bos false, eos one of three.
Metadata early_gemma4() {
  Metadata metadata("early.gguf");
  metadata.set("tokenizer.ggml.model", Value("gemma4"));
  metadata.set("tokenizer.ggml.tokens", Value::array(kGemmaTokens));
  metadata.set("tokenizer.ggml.scores", Value::array(std::vector<float>(kGemmaTokens.size(), -1000.0f)));
  metadata.set("tokenizer.ggml.token_type",
               Value::array(std::vector<int32_t>{3, 1, 3, 2, 1, 1, 1, 1, 3, 1, 1, 1, 1, 1}));
  metadata.set("tokenizer.ggml.merges", Value::array(std::vector<std::string>{"a b", "x y", "▁ ab"}));
  metadata.set("tokenizer.ggml.eos_token_id", Value(uint32_t{5}));
  metadata.set("tokenizer.ggml.bos_token_id", Value(uint64_t{2}));
  metadata.set("tokenizer.ggml.add_bos_token", Value(false));
  return metadata;
}

Vocabulary read(const Metadata& metadata) {
  auto vocabulary = vocabulary_from_metadata(metadata);
  EXPECT_TRUE(vocabulary) << vocabulary.error().message;
  return vocabulary ? *vocabulary : Vocabulary{};
}

TEST(VocabularyFromGguf, RepairsEarlyGemma4Files) {
  const Metadata metadata = early_gemma4();
  const Vocabulary vocabulary = read(metadata);
  EXPECT_TRUE(vocabulary.add_bos);
  EXPECT_FALSE(vocabulary.add_space_prefix);
  EXPECT_EQ(vocabulary.bos, 2);
  EXPECT_EQ(vocabulary.eos, 1);
  EXPECT_EQ(vocabulary.eot, 5);
  EXPECT_EQ(vocabulary.unknown, 3);
  EXPECT_EQ(vocabulary.types[1], TokenType::kControl);
  EXPECT_EQ(vocabulary.types[5], TokenType::kControl);
  EXPECT_EQ(vocabulary.types[6], TokenType::kUserDefined);
  // </s> is ordinary text here.
  EXPECT_EQ(vocabulary.types[7], TokenType::kNormal);
  EXPECT_EQ(vocabulary.stop_ids, (std::vector<int32_t>{1, 5, 6}));
  EXPECT_EQ(vocabulary.suppressed, (std::vector<int32_t>{8}));
  EXPECT_TRUE(vocabulary.scores.empty());
}

TEST(VocabularyFromGguf, MergesOfUnknownTokensKeepTheirRank) {
  const Metadata metadata = early_gemma4();
  const Vocabulary vocabulary = read(metadata);
  EXPECT_EQ(vocabulary.merges, (std::vector<Merge>{{10, 11, 12}, {}, {9, 12, 13}}));
  const auto tokenizer = text::Tokenizer::create(std::make_shared<Vocabulary>(vocabulary));
  ASSERT_TRUE(tokenizer);
  EXPECT_EQ((*tokenizer)->encode("ab ab"), (std::vector<int32_t>{12, 13}));
}

TEST(VocabularyFromGguf, SamplingHintsOverrideTheFamilys) {
  Metadata metadata = early_gemma4();
  EXPECT_EQ(read(metadata).sampling.top_k, 64);
  metadata.set("general.sampling.top_k", Value(int32_t{20}));
  metadata.set("general.sampling.temp", Value(0.5f));
  const auto sampling = read(metadata).sampling;
  EXPECT_EQ(sampling.top_k, 20);
  EXPECT_EQ(sampling.temperature, 0.5f);
  EXPECT_EQ(sampling.top_p, 0.95f);
  EXPECT_EQ(sampling.min_p, std::nullopt);
}

TEST(VocabularyFromGguf, LlamaHasDefaultsOfItsOwn) {
  Metadata metadata("llama.gguf");
  metadata.set("tokenizer.ggml.model", Value("llama"));
  metadata.set("tokenizer.ggml.tokens", Value::array(std::vector<std::string>{"<unk>", "<s>", "</s>", "<0x41>", "▁"}));
  metadata.set("tokenizer.ggml.scores", Value::array(std::vector<float>{0, 0, 0, 0, -1}));
  const Vocabulary vocabulary = read(metadata);
  EXPECT_TRUE(vocabulary.add_bos);
  EXPECT_TRUE(vocabulary.add_space_prefix);
  EXPECT_EQ(vocabulary.stop_ids, std::vector<int32_t>{2});
  // No types in the file: ids and looks tell.
  EXPECT_EQ(vocabulary.types[1], TokenType::kControl);
  EXPECT_EQ(vocabulary.types[3], TokenType::kByte);
  metadata.erase("tokenizer.ggml.scores");
  EXPECT_FALSE(vocabulary_from_metadata(metadata));
}

TEST(VocabularyFromGguf, RefusesWhatDoesNotFit) {
  const auto expect_bad = [](std::string_view key, Value value) {
    Metadata metadata = early_gemma4();
    metadata.set(key, std::move(value));
    EXPECT_FALSE(vocabulary_from_metadata(metadata)) << key;
  };
  expect_bad("tokenizer.ggml.model", Value("rwkv"));
  expect_bad("tokenizer.ggml.scores", Value::array(std::vector<float>{1, 2}));
  expect_bad("tokenizer.ggml.token_type", Value::array(std::vector<int32_t>{1, 2}));
  expect_bad("tokenizer.ggml.token_type", Value::array(std::vector<int32_t>(kGemmaTokens.size(), 9)));
  expect_bad("tokenizer.ggml.merges", Value::array(std::vector<std::string>{"ab"}));
  expect_bad("tokenizer.ggml.eos_token_id", Value(uint64_t{1} << 40));
  expect_bad("tokenizer.ggml.padding_token_id", Value(std::string("x")));
  expect_bad("tokenizer.ggml.suppress_tokens", Value::array(std::vector<int32_t>{99}));
  expect_bad("tokenizer.ggml.tokens", Value::array(std::vector<std::string>{}));
  const auto unknown = [] {
    Metadata metadata = early_gemma4();
    metadata.set("tokenizer.ggml.model", Value("rwkv"));
    return vocabulary_from_metadata(metadata).error();
  }();
  EXPECT_EQ(unknown.code, ErrorCode::kNotImplemented);
}

TEST(VocabularyFromGguf, ErrorsNameTheFileOnce) {
  const auto error_of = [](const Metadata& metadata) {
    const auto vocabulary = vocabulary_from_metadata(metadata, "early.gguf");
    return vocabulary ? std::string("read") : vocabulary.error().message;
  };
  for (const char* broken : {"tokenizer.ggml.merges", "tokenizer.ggml.scores", "tokenizer.ggml.tokens"}) {
    Metadata metadata = early_gemma4();
    metadata.set(broken, Value::array(std::vector<std::string>{"x"}));
    const std::string error = error_of(metadata);
    EXPECT_TRUE(error.starts_with("early.gguf: ")) << error;
    EXPECT_EQ(error.rfind("early.gguf"), 0u) << error;
  }
}

}  // namespace
}  // namespace tessera::compile
