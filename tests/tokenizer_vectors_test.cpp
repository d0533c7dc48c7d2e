// Real vocabularies, read from GGUF, against the ids llama.cpp gives (special tokens neither parsed nor added).
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "compile/vocabulary_from_gguf.h"
#include "gguf/file.h"
#include "test_util.h"
#include "text/tokenizer.h"

namespace tessera {
namespace {

struct Case {
  std::string text;
  std::vector<int32_t> ids;
};

// NAME.gguf.inp: texts between separator lines. NAME.gguf.out: one line of ids for each.
std::vector<Case> read_cases(const std::filesystem::path& gguf) {
  const std::string separator = "\n__ggml_vocab_test__\n";
  const auto texts = testing::read_file(gguf.string() + ".inp");
  const auto ids = testing::read_file(gguf.string() + ".out");
  std::istringstream lines(std::string(ids.begin(), ids.end()));
  std::vector<Case> cases;
  std::string rest(texts.begin(), texts.end());
  for (std::string line; std::getline(lines, line) && !rest.empty();) {
    const size_t end = rest.find(separator);
    Case& one = cases.emplace_back(Case{rest.substr(0, end), {}});
    std::istringstream numbers(line);
    for (int32_t id; numbers >> id;) one.ids.push_back(id);
    rest.erase(0, end == std::string::npos ? end : end + separator.size());
  }
  return cases;
}

class TokenizerVectors : public ::testing::TestWithParam<const char*> {};

TEST_P(TokenizerVectors, EveryCaseGivesTheExpectedIds) {
  SKIP_WITHOUT_SHARED("vectors/vocab");
  const auto path = testing::shared_dir() / "vectors/vocab" / fmt::format("ggml-vocab-{}.gguf", GetParam());
  const auto file = gguf::File::open(path.string());
  ASSERT_TRUE(file) << file.error().message;
  auto vocabulary = compile::vocabulary_from_gguf(**file);
  ASSERT_TRUE(vocabulary) << vocabulary.error().message;

  // As it travels inside a program.
  const auto bytes = text::encode(*vocabulary);
  auto decoded = text::decode(bytes);
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(decoded->tokens, vocabulary->tokens);
  EXPECT_EQ(decoded->merges, vocabulary->merges);
  const auto tokenizer = text::Tokenizer::create(std::make_shared<text::Vocabulary>(std::move(*decoded)));
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;

  const auto cases = read_cases(path);
  EXPECT_EQ(cases.size(), 46u);
  for (const Case& one : cases) {
    EXPECT_EQ((*tokenizer)->encode(one.text), one.ids) << one.text;
    EXPECT_EQ((*tokenizer)->decode(one.ids), one.text);
  }
}

INSTANTIATE_TEST_SUITE_P(Vocabularies, TokenizerVectors,
                         ::testing::Values("llama-spm", "gpt-2", "falcon", "deepseek-llm"), [](const auto& param) {
                           std::string name = param.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(Gemma4Tokenizer, RoundTripsWithAFilesVocabulary) {
  SKIP_WITHOUT_SHARED("vectors/gemma4-tiny");
  const auto file = gguf::File::open((testing::shared_dir() / "vectors/gemma4-tiny/tiny-q6k.gguf").string());
  ASSERT_TRUE(file) << file.error().message;
  auto vocabulary = compile::vocabulary_from_gguf(**file);
  ASSERT_TRUE(vocabulary) << vocabulary.error().message;
  const auto tokenizer = text::Tokenizer::create(std::make_shared<text::Vocabulary>(std::move(*vocabulary)));
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  auto rng = testing::fresh_rng();
  for (int round = 0; round < 100; ++round) {
    std::string text;
    for (uint64_t n = rng() % 60; n > 0; --n) text += static_cast<char>(rng() % 3 ? "the  cat\n"[rng() % 9] : rng());
    if (text.find("\xe2\x96\x81") != std::string::npos) continue;  // U+2581 reads as a space
    EXPECT_EQ((*tokenizer)->decode((*tokenizer)->encode(text, {.add_bos = true})), text);
  }
}

}  // namespace
}  // namespace tessera
