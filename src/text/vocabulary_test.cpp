#include "text/vocabulary.h"

#include <gtest/gtest.h>

#include <cmath>
#include <tuple>

#include "test_util.h"
#include "text/text_testing.h"

namespace tessera::text {
namespace {

using testing::small_gemma4;
using testing::small_llama;

void expect_equal(const Vocabulary& a, const Vocabulary& b) {
  EXPECT_EQ(a.model, b.model);
  EXPECT_EQ(a.pre, b.pre);
  EXPECT_EQ(a.tokens, b.tokens);
  EXPECT_EQ(a.types, b.types);
  EXPECT_EQ(a.scores, b.scores);
  EXPECT_EQ(a.merges, b.merges);
  EXPECT_EQ(std::tie(a.bos, a.eos, a.eot, a.unknown, a.padding), std::tie(b.bos, b.eos, b.eot, b.unknown, b.padding));
  EXPECT_EQ(std::tie(a.add_bos, a.add_eos, a.add_space_prefix), std::tie(b.add_bos, b.add_eos, b.add_space_prefix));
  EXPECT_EQ(a.stop_ids, b.stop_ids);
  EXPECT_EQ(a.suppressed, b.suppressed);
  EXPECT_EQ(a.sampling, b.sampling);
  EXPECT_EQ(a.chat_template, b.chat_template);
}

Vocabulary full_gemma4() {
  Vocabulary vocabulary = *small_gemma4().build();
  vocabulary.merges.insert(vocabulary.merges.begin() + 2, Merge{});  // a hole
  vocabulary.suppressed = {4, 5};
  vocabulary.sampling.temperature = 0.7f;
  vocabulary.sampling.top_k = 64;
  vocabulary.chat_template = "{{ messages }}";
  return vocabulary;
}

TEST(Vocabulary, TravelsUnchanged) {
  for (const Vocabulary& vocabulary : {full_gemma4(), *small_llama().build()}) {
    const auto bytes = encode(vocabulary);
    auto decoded = decode(bytes);
    ASSERT_TRUE(decoded) << decoded.error().message;
    expect_equal(vocabulary, *decoded);
  }
}

TEST(Vocabulary, EveryTruncationFails) {
  const auto bytes = encode(full_gemma4());
  for (size_t n = 0; n < bytes.size(); ++n) {
    const std::vector<std::byte> cut(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(n));  // exact allocation
    ASSERT_FALSE(decode(cut)) << n;
  }
  auto longer = bytes;
  longer.push_back(std::byte{0});
  EXPECT_FALSE(decode(longer));
}

TEST(Vocabulary, EveryFlippedByteIsAnErrorOrAVocabulary) {
  auto rng = tessera::testing::fresh_rng();
  auto bytes = encode(full_gemma4());
  for (size_t i = 0; i < bytes.size(); ++i) {
    const std::byte saved = bytes[i];
    bytes[i] ^= static_cast<std::byte>(1 + rng() % 255);
    if (auto decoded = decode(bytes)) {
      EXPECT_TRUE(check(*decoded)) << i;
    }
    bytes[i] = saved;
  }
}

TEST(Vocabulary, NewerVersionsAreNotRead) {
  auto bytes = encode(full_gemma4());
  bytes[4] = std::byte{2};
  const auto decoded = decode(bytes);
  ASSERT_FALSE(decoded);
  EXPECT_EQ(decoded.error().code, ErrorCode::kNotImplemented);
}

TEST(Vocabulary, ChecksWhatItHolds) {
  const Vocabulary good = full_gemma4();
  ASSERT_TRUE(check(good));
  const auto expect_bad = [&](auto&& damage) {
    Vocabulary vocabulary = good;
    damage(vocabulary);
    EXPECT_FALSE(check(vocabulary));
  };
  expect_bad([](Vocabulary& v) { v.types.pop_back(); });
  expect_bad([](Vocabulary& v) { v.types[3] = static_cast<TokenType>(7); });
  expect_bad([](Vocabulary& v) { v.scores.assign(3, 0.0f); });
  expect_bad([](Vocabulary& v) { v.scores.assign(v.tokens.size(), NAN); });
  expect_bad([](Vocabulary& v) { v.bos = v.size(); });
  expect_bad([](Vocabulary& v) { v.eos = -2; });
  expect_bad([](Vocabulary& v) { v.stop_ids = {1 << 30}; });
  expect_bad([](Vocabulary& v) { v.merges[0].left = v.size(); });
  expect_bad([](Vocabulary& v) { v.merges[0].result = -1; });
  expect_bad([](Vocabulary& v) { v.sampling.top_p = INFINITY; });
  expect_bad([](Vocabulary& v) { v = Vocabulary{.model = "gemma4"}; });
}

TEST(Vocabulary, AsLargeAsGemma4s) {
  constexpr size_t kTokens = 262144, kMerges = 514906;
  Vocabulary vocabulary;
  vocabulary.model = "gemma4";
  vocabulary.tokens.assign(kTokens, "▁token");
  vocabulary.types.assign(kTokens, TokenType::kNormal);
  vocabulary.merges.assign(kMerges, Merge{1, 2, 3});
  vocabulary.merges.back() = {4, 5, 262143};
  const auto bytes = encode(vocabulary);
  const auto decoded = decode(bytes);
  ASSERT_TRUE(decoded) << decoded.error().message;
  expect_equal(vocabulary, *decoded);
}

}  // namespace
}  // namespace tessera::text
