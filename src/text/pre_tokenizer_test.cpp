#include "text/pre_tokenizer.h"

#include <gtest/gtest.h>

#include "test_util.h"

namespace tessera::text {
namespace {

using Pieces = std::vector<std::string_view>;

Pieces split(std::string_view name, std::string_view text) {
  const auto pre_tokenizer = PreTokenizer::find(name);
  EXPECT_TRUE(pre_tokenizer);
  return (*pre_tokenizer)->split(text);
}

TEST(PreTokenizer, Gpt2) {
  EXPECT_EQ(split("gpt-2", "Hello I'm 42!?  x"), (Pieces{"Hello", " I", "'m", " 42", "!?", " ", " x"}));
  EXPECT_EQ(split("gpt-2", "I'LL we'll"), (Pieces{"I", "'", "LL", " we", "'ll"}));
  EXPECT_EQ(split("gpt-2", "a \n\n b  "), (Pieces{"a", " \n\n", " b", "  "}));
  EXPECT_EQ(split("gpt-2", "\tx"), (Pieces{"\t", "x"}));
  EXPECT_EQ(split("gpt-2", ""), Pieces{});
}

TEST(PreTokenizer, Llama3) {
  EXPECT_EQ(split("llama-bpe", "I'LL pay 12345$"), (Pieces{"I", "'LL", " pay", " ", "123", "45", "$"}));
  EXPECT_EQ(split("llama3", "a\n\n  b \r\n"), (Pieces{"a", "\n\n", " ", " b", " \r\n"}));
  EXPECT_EQ(split("llama3", "\tx (y) !!\n\nz"), (Pieces{"\tx", " (", "y", ")", " !!\n\n", "z"}));
  EXPECT_EQ(split("llama3", "x   "), (Pieces{"x", "   "}));
}

TEST(PreTokenizer, Qwen2SplitsDigits) { EXPECT_EQ(split("qwen2", "a 12"), (Pieces{"a", " ", "1", "2"})); }

TEST(PreTokenizer, Qwen35KeepsMarksWithLetters) {
  // e, combining acute accent, n.
  EXPECT_EQ(split("qwen2", "e\u0301n"), (Pieces{"e", "\u0301n"}));
  EXPECT_EQ(split("qwen35", "e\u0301n"), (Pieces{"e\u0301n"}));
  EXPECT_EQ(split("qwen35", "!\u0301"), (Pieces{"!\u0301"}));
}

TEST(PreTokenizer, Falcon) {
  // Punctuation, then words, then digits in threes: they leave the space of " 12345" behind.
  EXPECT_EQ(split("falcon", "a,b 12345 `x`"), (Pieces{"a", ",", "b", " ", "123", "45", " ", "`", "x", "`"}));
}

TEST(PreTokenizer, DeepseekLlm) {
  EXPECT_EQ(split("deepseek-llm", "Hello world, hi\n\n12漢字  "),
            (Pieces{"Hello", " world", ",", " hi", "\n", "\n", "12", "漢字", "  "}));
  // The ideographic space is white space and punctuation.
  EXPECT_EQ(split("deepseek-llm", "x\u3000y"), (Pieces{"x", "\u3000", "y"}));
  // The ideographic full stop joins the space before it as punctuation, and leaves it again as CJK.
  EXPECT_EQ(split("deepseek-llm", "x 。!"), (Pieces{"x", " ", "。", "!"}));
}

TEST(PreTokenizer, DefaultIsFourPasses) {
  EXPECT_EQ(split("", "x=12345"), (Pieces{"x", "=", "123", "45"}));
  EXPECT_EQ(*PreTokenizer::find(""), *PreTokenizer::find("default"));
}

TEST(PreTokenizer, InvalidBytesAreSymbolsOfOneByte) {
  EXPECT_EQ(split("gpt-2", "a\xff\xfe b"), (Pieces{"a", "\xff\xfe", " b"}));
}

TEST(PreTokenizer, PiecesAddUpToTheText) {
  auto rng = tessera::testing::fresh_rng();
  for (const char* name : {"default", "gpt-2", "llama3", "qwen2", "qwen35", "falcon", "deepseek-llm", "starcoder"}) {
    for (int round = 0; round < 300; ++round) {
      std::string text, joined;
      for (uint64_t n = rng() % 40; n > 0; --n)
        text += rng() % 3 ? "ab 1'\n\r\t.s漢\u0301"[rng() % 12] : static_cast<char>(rng());
      for (std::string_view piece : split(name, text)) {
        EXPECT_FALSE(piece.empty());
        joined += piece;
      }
      ASSERT_EQ(joined, text) << name;
    }
  }
}

TEST(PreTokenizer, UnknownNamesListTheKnownOnes) {
  const auto result = PreTokenizer::find("tekken");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kNotImplemented);
  EXPECT_NE(result.error().message.find("deepseek-llm"), std::string::npos);
}

}  // namespace
}  // namespace tessera::text
