#include "generate/stop.h"

#include <gtest/gtest.h>

#include "test_util.h"

namespace tessera::generate {
namespace {

TEST(StopStrings, WithoutAnyEverythingPasses) {
  StopStrings stops({""});
  EXPECT_EQ(stops.push("abc"), "abc");
  EXPECT_FALSE(stops.stopped());
  EXPECT_EQ(stops.flush(), "");
}

TEST(StopStrings, FindsOneAcrossPieces) {
  StopStrings stops({"END", "\n\n"});
  EXPECT_EQ(stops.push("one E"), "one ");
  EXPECT_EQ(stops.push("N"), "");
  EXPECT_EQ(stops.push("x E"), "ENx ");
  EXPECT_EQ(stops.push("ND and more"), "");
  EXPECT_TRUE(stops.stopped());
  EXPECT_EQ(stops.push("nothing"), "");
  EXPECT_EQ(stops.flush(), "");
}

TEST(StopStrings, TheOneThatBeginsFirstCounts) {
  StopStrings stops({"b", "abc"});
  EXPECT_EQ(stops.push("xabc"), "x");
  EXPECT_TRUE(stops.stopped());
}

TEST(StopStrings, WhatWasHeldBackComesInTheEnd) {
  StopStrings stops({"aab"});
  EXPECT_EQ(stops.push("aaa"), "a");
  EXPECT_EQ(stops.flush(), "aa");
}

TEST(StopStrings, AgreesWithSearchingTheWholeText) {
  auto rng = tessera::testing::fresh_rng();
  const auto word = [&](uint64_t longest) {
    std::string out;
    for (uint64_t n = rng() % (longest + 1); n > 0; --n) out += static_cast<char>('a' + rng() % 2);
    return out;
  };
  for (int round = 0; round < 5000; ++round) {
    const std::string text = word(30), stop = word(4) + 'a';
    StopStrings stops({stop});
    std::string shown;
    for (size_t at = 0; at < text.size();) {
      const size_t n = 1 + rng() % 4;
      shown += stops.push(std::string_view(text).substr(at, n));
      at += n;
    }
    const size_t found = text.find(stop);
    EXPECT_EQ(stops.stopped(), found != std::string::npos);
    ASSERT_EQ(shown + stops.flush(), text.substr(0, found)) << text << " until " << stop;
  }
}

}  // namespace
}  // namespace tessera::generate
