#include "text/utf8.h"

#include <gtest/gtest.h>

#include <array>

#include "test_util.h"
#include "text/utf8_stream.h"

namespace tessera::text {
namespace {

TEST(Utf8, ReadsEveryCodePointBack) {
  for (uint32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xd800 && c < 0xe000) continue;  // surrogates are not characters
    std::string text;
    append_utf8(text, c);
    const Utf8Char read = next_char(text);
    ASSERT_TRUE(read.is_valid) << c;
    ASSERT_EQ(read.code_point, c);
    ASSERT_EQ(read.size, text.size());
    ASSERT_EQ(incomplete_tail(text), 0u) << c;
    for (size_t n = 1; n < text.size(); ++n) {
      const std::string_view cut = std::string_view(text).substr(0, n);
      ASSERT_FALSE(next_char(cut).is_valid);
      ASSERT_EQ(incomplete_tail(cut), n) << c;
    }
  }
}

TEST(Utf8, InvalidBytesComeAlone) {
  // A continuation byte, two overlong forms, a surrogate, past U+10FFFF, a byte that never occurs.
  for (std::string_view text : {"\x80", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xff"}) {
    const Utf8Char c = next_char(text);
    EXPECT_FALSE(c.is_valid);
    EXPECT_EQ(c.size, 1);
    EXPECT_EQ(c.code_point, 0xfffdu);
    EXPECT_EQ(incomplete_tail(text), 0u);
  }
  EXPECT_EQ(to_valid_utf8("a\xff\xe2\x82z"), "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz");
}

TEST(Utf8Stream, HoldsBackHalfACharacter) {
  Utf8Stream stream;
  EXPECT_EQ(stream.push("a\xe2"), "a");
  EXPECT_EQ(stream.push("\x82"), "");
  EXPECT_EQ(stream.push("\xac!"), "€!");
  EXPECT_EQ(stream.push("\xf0\x9f"), "");
  EXPECT_EQ(stream.flush(), "\xf0\x9f");
  EXPECT_EQ(stream.flush(), "");
}

TEST(Utf8Stream, InvalidBytesPassAtOnce) {
  Utf8Stream stream;
  EXPECT_EQ(stream.push("\x82\xff"), "\x82\xff");
  EXPECT_EQ(stream.push("\xe2"), "");
  EXPECT_EQ(stream.push("x"), "\xe2x");
}

TEST(Utf8Stream, LosesNothingAndSplitsNoCharacter) {
  auto rng = tessera::testing::fresh_rng();
  for (int round = 0; round < 2000; ++round) {
    std::string text, out;
    for (int i = 0; i < 20; ++i) append_utf8(text, std::array{0x41u, 0xfcu, 0x20acu, 0x1f600u}[rng() % 4]);
    const bool is_damaged = round % 2;
    if (is_damaged) text[rng() % text.size()] = static_cast<char>(rng());
    Utf8Stream stream;
    for (std::string_view rest = text; !rest.empty();) {
      const size_t n = std::min<size_t>(rest.size(), 1 + rng() % 5);
      const std::string piece = stream.push(rest.substr(0, n));
      if (!is_damaged) {
        EXPECT_EQ(to_valid_utf8(piece), piece);
      }
      out += piece;
      rest.remove_prefix(n);
    }
    out += stream.flush();
    ASSERT_EQ(out, text);
  }
}

}  // namespace
}  // namespace tessera::text
