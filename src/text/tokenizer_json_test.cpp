#include "text/tokenizer_json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "text/text_testing.h"

namespace tessera::text {
namespace {

using nlohmann::json;
using testing::small_gemma4;
using testing::small_gpt2;
using testing::small_llama;
using testing::VocabularyBuilder;

json parsed(VocabularyBuilder builder) {
  const auto text = to_tokenizer_json(*builder.build());
  EXPECT_TRUE(text) << text.error().message;
  return json::parse(*text);
}

// Tokens and merges come back as they were: by id, and by rank.
void expect_tables(VocabularyBuilder builder) {
  const auto vocabulary = builder.build();
  const json model = parsed(builder)["model"];
  EXPECT_EQ(model["type"], "BPE");
  ASSERT_EQ(model["vocab"].size(), vocabulary->tokens.size());
  for (int32_t id = 0; id < vocabulary->size(); ++id)
    EXPECT_EQ(model["vocab"][std::string(vocabulary->tokens[static_cast<size_t>(id)])], id);
  if (!vocabulary->merges.empty()) {
    ASSERT_EQ(model["merges"].size(), vocabulary->merges.size());
  }
  for (size_t rank = 0; rank < vocabulary->merges.size(); ++rank) {
    const json& merge = model["merges"][rank];
    EXPECT_EQ(model["vocab"][merge[0].get<std::string>()], vocabulary->merges[rank].left);
    EXPECT_EQ(model["vocab"][merge[1].get<std::string>()], vocabulary->merges[rank].right);
  }
}

const json* added(const json& file, std::string_view content) {
  for (const json& token : file["added_tokens"])
    if (token["content"] == content) return &token;
  return nullptr;
}

TEST(TokenizerJson, TablesRoundTrip) {
  expect_tables(small_gemma4());
  expect_tables(small_llama());
  expect_tables(small_gpt2());
}

TEST(TokenizerJson, Gemma4) {
  const json file = parsed(small_gemma4());
  EXPECT_EQ(file["normalizer"], json::parse(R"({"type":"Replace","pattern":{"String":" "},"content":"▁"})"));
  EXPECT_EQ(file["pre_tokenizer"]["pattern"]["Regex"], "\\n+");
  EXPECT_EQ(file["decoder"]["decoders"].size(), 3u);
  EXPECT_EQ(file["decoder"]["decoders"][1]["type"], "ByteFallback");
  EXPECT_EQ(file["model"]["byte_fallback"], true);
  EXPECT_EQ(file["model"]["fuse_unk"], true);
  EXPECT_EQ(file["model"]["unk_token"], "<unk>");
  EXPECT_EQ(file["post_processor"]["single"][0]["SpecialToken"]["id"], "<bos>");
  EXPECT_EQ(file["post_processor"]["special_tokens"]["<bos>"]["ids"][0], 2);

  const json* control = added(file, "<turn|>");
  ASSERT_NE(control, nullptr);
  EXPECT_EQ((*control)["special"], true);
  EXPECT_EQ((*control)["id"], 5);
  EXPECT_EQ((*control)["normalized"], false);
  const json* user_defined = added(file, "<|channel>");
  ASSERT_NE(user_defined, nullptr);
  EXPECT_EQ((*user_defined)["special"], false);
  EXPECT_EQ(added(file, "h"), nullptr);
}

// Tokens of two and three newlines that no merges lead to, though the tokenizer takes them whole.
TEST(TokenizerJson, UnmergedNewlinesAreWholePieces) {
  VocabularyBuilder builder = small_gemma4();
  EXPECT_EQ(parsed(builder)["model"]["ignore_merges"], true);
  builder.merge("\n", "\n");
  builder.merge("\n\n", "\n");
  EXPECT_EQ(parsed(builder)["model"]["ignore_merges"], true) << "one pair is left";
  builder.merge("\n", "\n\n");
  EXPECT_EQ(parsed(builder)["model"]["ignore_merges"], false);
}

TEST(TokenizerJson, LlamaScoresBecomeRanks) {
  const json file = parsed(small_llama());
  EXPECT_EQ(file["normalizer"]["normalizers"][0]["type"], "Prepend");
  EXPECT_EQ(file["decoder"]["decoders"].back(), json::parse(R"({"type":"Strip","content":" ","start":1,"stop":0})"));
  EXPECT_TRUE(file["pre_tokenizer"].is_null());
  // Every pair of tokens that makes a token, best result first: he, ll, hell, ▁hell, ▁hello, ▁▁.
  const json want = json::parse(R"([["h","e"],["l","l"],["he","ll"],["▁","hell"],["▁hell","o"],["▁","▁"]])");
  EXPECT_EQ(file["model"]["merges"], want);

  VocabularyBuilder without_prefix = small_llama();
  without_prefix.vocabulary().add_space_prefix = false;
  const json plain = parsed(without_prefix);
  EXPECT_EQ(plain["normalizer"]["type"], "Replace");
  EXPECT_EQ(plain["decoder"]["decoders"].size(), 3u);
}

TEST(TokenizerJson, ByteLevel) {
  const json gpt2 = parsed(small_gpt2());
  EXPECT_EQ(gpt2["pre_tokenizer"]["pretokenizers"].size(), 2u);
  EXPECT_EQ(gpt2["pre_tokenizer"]["pretokenizers"][1]["type"], "ByteLevel");
  EXPECT_EQ(gpt2["decoder"]["type"], "ByteLevel");
  EXPECT_EQ(gpt2["model"]["byte_fallback"], false);
  EXPECT_EQ(gpt2["model"]["ignore_merges"], false);
  EXPECT_TRUE(gpt2["model"]["unk_token"].is_null());
  EXPECT_TRUE(gpt2["post_processor"].is_null());
  EXPECT_EQ(parsed(small_gpt2("llama-bpe"))["model"]["ignore_merges"], true);
  const json deepseek = parsed(small_gpt2("deepseek-llm"))["pre_tokenizer"]["pretokenizers"];
  EXPECT_EQ(deepseek.size(), 7u);
  const std::string letters = deepseek[1]["pattern"]["Regex"];
  EXPECT_TRUE(letters.starts_with("\\s?[A-Za-zµÀ-Ö")) << letters;
}

TEST(TokenizerJson, WhatItCannotSay) {
  VocabularyBuilder broken = small_gpt2();
  broken.add("\xff");
  EXPECT_EQ(to_tokenizer_json(*broken.build()).error().code, ErrorCode::kInvalidFormat);
  VocabularyBuilder unknown = small_gpt2("nobody");
  EXPECT_EQ(to_tokenizer_json(*unknown.build()).error().code, ErrorCode::kNotImplemented);
  VocabularyBuilder wordpiece("bert");
  wordpiece.add("a");
  EXPECT_EQ(to_tokenizer_json(*wordpiece.build()).error().code, ErrorCode::kNotImplemented);
}

TEST(TokenizerJson, QuotesAndControlCharacters) {
  VocabularyBuilder builder = small_gemma4();
  builder.add("\"\\\x01\t");
  const int32_t id = builder.find("\"\\\x01\t");
  EXPECT_EQ(parsed(builder)["model"]["vocab"]["\"\\\x01\t"], id);
}

}  // namespace
}  // namespace tessera::text
