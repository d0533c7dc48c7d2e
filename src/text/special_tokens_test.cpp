#include "text/special_tokens.h"

#include <gtest/gtest.h>

#include "text/text_testing.h"

namespace tessera::text {
namespace {

std::string cut(const SpecialTokens& specials, std::string_view text, bool parse_control) {
  std::string out;
  for (const auto& fragment : specials.cut(text, parse_control)) {
    out += fragment.id < 0 ? fmt::format("[{}]", fragment.text) : fmt::format("({})", fragment.id);
  }
  return out;
}

TEST(SpecialTokens, TheLongestWinsWhereverItStands) {
  testing::VocabularyBuilder builder("gemma4");
  builder.add("<a>", TokenType::kUserDefined);    // 0
  builder.add("<a><b", TokenType::kUserDefined);  // 1
  builder.add("x<a>", TokenType::kControl);       // 2
  builder.add("normal");
  const SpecialTokens specials(*builder.build());
  EXPECT_EQ(cut(specials, "1<a>2<a>", false), "[1](0)[2](0)");
  EXPECT_EQ(cut(specials, "<a><b><a>", false), "(1)[>](0)");
  EXPECT_EQ(cut(specials, "x<a>", false), "[x](0)");
  EXPECT_EQ(cut(specials, "x<a>", true), "(2)");
  EXPECT_EQ(cut(specials, "x<a><b", true), "[x](1)");  // further right, but longer
  EXPECT_EQ(cut(specials, "normal", true), "[normal]");
  EXPECT_EQ(cut(specials, "", true), "");
}

TEST(SpecialTokens, OfEqualTextsTheLowerIdStays) {
  testing::VocabularyBuilder builder("gemma4");
  builder.add("<a>", TokenType::kUserDefined);
  builder.add("<a>", TokenType::kControl);
  builder.add("", TokenType::kControl);
  const SpecialTokens specials(*builder.build());
  EXPECT_EQ(cut(specials, "<a>", true), "(0)");
}

}  // namespace
}  // namespace tessera::text
