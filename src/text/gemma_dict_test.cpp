#include "text/gemma_dict.h"

#include <gtest/gtest.h>

namespace tessera::text {
namespace {

using nlohmann::json;

std::string written(const json& value, GemmaKeys keys = GemmaKeys::kBare) {
  std::string out;
  append_gemma_value(out, value, keys);
  return out;
}

TEST(GemmaDict, Writes) {
  EXPECT_EQ(written({{"city", "Oslo"}, {"n", 3}}), R"({city:<|"|>Oslo<|"|>,n:3})");
  EXPECT_EQ(written({{"b", true}, {"A", nullptr}, {"c", {1.5, -2, "x"}}}), R"({A:null,b:true,c:[1.5,-2,<|"|>x<|"|>]})");
  EXPECT_EQ(written(json::object()), "{}");
  EXPECT_EQ(written({{"a", {{"b", json::array()}}}}), "{a:{b:[]}}");
  EXPECT_EQ(written({{"a", 1}}, GemmaKeys::kQuoted), R"({<|"|>a<|"|>:1})");
  // Nothing inside a string is escaped.
  EXPECT_EQ(written("say \"hi\"\n{,}"), "<|\"|>say \"hi\"\n{,}<|\"|>");
}

TEST(GemmaDict, ReadsBackWhatItWrites) {
  const json object = {{"s", "a,b}\"\n"},
                       {"n", -7},
                       {"f", 2.5},
                       {"t", true},
                       {"z", nullptr},
                       {"e", json::object()},
                       {"l", {1, {2, "x"}, json::array()}}};
  std::string text = written(object) + "rest";
  std::string_view view = text;
  const auto read = take_gemma_object(view);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, object);
  EXPECT_EQ(view, "rest");
}

TEST(GemmaDict, ForgivesWhatModelsDo) {
  std::string_view spaced = R"( { city : <|"|>Oslo<|"|> , <|"|>n<|"|> : 3 , who: Bob Ray, x: None } )";
  const auto read = take_gemma_object(spaced);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, (json{{"city", "Oslo"}, {"n", 3}, {"who", "Bob Ray"}, {"x", nullptr}}));
  std::string_view damaged = "{a:<|\"|>\xff<|\"|>}";
  EXPECT_EQ(take_gemma_object(damaged)->dump(), "{\"a\":\"\xef\xbf\xbd\"}");
}

TEST(GemmaDict, RefusesDamage) {
  for (std::string_view text :
       {"", "x", "{", "{a", "{a:", "{a:}", "{a:1", "{:1}", "{a:1,}", "{a:<|\"|>x}", "{a:[1}", "{a:[1,]}"}) {
    std::string_view rest = text;
    EXPECT_FALSE(take_gemma_object(rest)) << text;
  }
  std::string deep = "{a:";
  for (int i = 0; i < 100000; ++i) deep += "[";
  std::string_view rest = deep;
  EXPECT_FALSE(take_gemma_object(rest));
}

}  // namespace
}  // namespace tessera::text
