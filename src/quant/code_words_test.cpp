#include "quant/code_words.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace tessera::quant {
namespace {

// The rule as it is written down: which word, which shift, and what straddles.
std::vector<uint32_t> by_the_rule(const std::vector<uint8_t>& codes, int bits) {
  std::vector<uint32_t> words(codes.size() * static_cast<size_t>(bits) / 32 + 1);
  for (size_t j = 0; j < codes.size(); ++j) {
    const size_t word = j * static_cast<size_t>(bits) / 32, shift = j * static_cast<size_t>(bits) % 32;
    const uint64_t spread = uint64_t{codes[j]} << shift;
    words[word] |= static_cast<uint32_t>(spread);
    words[word + 1] |= static_cast<uint32_t>(spread >> 32);
  }
  words.pop_back();
  return words;
}

TEST(CodeWords, EveryWidthFollowsTheRule) {
  std::mt19937 random(7);
  for (const int bits : {2, 3, 4, 5, 6, 8}) {
    for (const size_t n : {32, 64, 96, 256}) {
      std::vector<uint8_t> codes(n);
      for (uint8_t& code : codes) code = static_cast<uint8_t>(random() & ((1u << bits) - 1));
      std::vector<uint32_t> words(n * static_cast<size_t>(bits) / 32);
      pack_codes(codes, bits, words.data());
      EXPECT_EQ(words, by_the_rule(codes, bits)) << bits << " bits, " << n << " codes";
    }
  }
}

TEST(CodeWords, NibblesAndBytes) {
  uint32_t word = 0;
  pack_codes(std::vector<uint8_t>{1, 2, 3, 4, 5, 6, 7, 8}, 4, &word);
  EXPECT_EQ(word, 0x87654321u);
  pack_codes(std::vector<uint8_t>{0x11, 0x22, 0x33, 0x44}, 8, &word);
  EXPECT_EQ(word, 0x44332211u);
}

}  // namespace
}  // namespace tessera::quant
