// Small vocabularies for tests: enough of each scheme to see its rules at work.
#pragma once

#include <fmt/core.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace tessera::text::testing {

// Builds a vocabulary token by token; owns the texts.
class VocabularyBuilder {
 public:
  explicit VocabularyBuilder(std::string model) { vocabulary_.model = std::move(model); }

  int32_t add(std::string text, TokenType type = TokenType::kNormal, float score = 0) {
    texts_->push_back(std::move(text));
    vocabulary_.types.push_back(type);
    scores_.push_back(score);
    return static_cast<int32_t>(texts_->size()) - 1;
  }
  void add_bytes() {
    for (int byte = 0; byte < 256; ++byte) add(fmt::format("<0x{:02X}>", byte), TokenType::kByte);
  }
  int32_t find(std::string_view text) const {
    for (size_t id = 0; id < texts_->size(); ++id)
      if ((*texts_)[id] == text) return static_cast<int32_t>(id);
    CHECK(false);
    return -1;
  }
  // Also adds the result as a token if it is not there.
  void merge(const std::string& left, const std::string& right) {
    const std::string joined = left + right;
    bool is_known = false;
    for (const std::string& text : *texts_) is_known |= text == joined;
    const int32_t result = is_known ? find(joined) : add(joined);
    vocabulary_.merges.push_back({find(left), find(right), result});
  }
  Vocabulary& vocabulary() { return vocabulary_; }

  std::shared_ptr<const Vocabulary> build() {
    vocabulary_.tokens.assign(texts_->begin(), texts_->end());
    if (vocabulary_.model == "llama") vocabulary_.scores = scores_;
    vocabulary_.storage = texts_;
    return std::make_shared<const Vocabulary>(vocabulary_);
  }
  std::unique_ptr<const Tokenizer> tokenizer() {
    auto tokenizer = Tokenizer::create(build());
    CHECK(tokenizer.has_value());
    return std::move(*tokenizer);
  }

 private:
  std::shared_ptr<std::vector<std::string>> texts_ = std::make_shared<std::vector<std::string>>();
  std::vector<float> scores_;
  Vocabulary vocabulary_;
};

// Gemma 4 in miniature: its markers, bytes, newline runs up to 3, printable ASCII and a few merges.
inline VocabularyBuilder small_gemma4() {
  VocabularyBuilder builder("gemma4");
  using enum TokenType;
  Vocabulary& vocabulary = builder.vocabulary();
  vocabulary.padding = builder.add("<pad>", kControl);
  vocabulary.eos = builder.add("<eos>", kControl);
  vocabulary.bos = builder.add("<bos>", kControl);
  vocabulary.unknown = builder.add("<unk>", kUnknown);
  builder.add("<|turn>", kControl);
  vocabulary.eot = builder.add("<turn|>", kControl);
  builder.add("<|channel>", kUserDefined);
  builder.add("<channel|>", kUserDefined);
  builder.add("<|tool_response>", kUserDefined);
  builder.add("\n");
  builder.add("\n\n");
  builder.add("\n\n\n");
  builder.add_bytes();
  builder.add("▁");
  for (char c = '!'; c <= '~'; ++c) builder.add(std::string(1, c));
  builder.add("ü");
  builder.merge("h", "e");
  builder.merge("l", "l");
  builder.merge("he", "ll");
  builder.merge("▁", "hell");
  builder.merge("▁", "▁");
  builder.merge("▁hell", "o");
  vocabulary.add_bos = true;
  vocabulary.stop_ids = {vocabulary.eos, vocabulary.eot, builder.find("<|tool_response>")};
  return builder;
}

inline VocabularyBuilder small_llama() {
  VocabularyBuilder builder("llama");
  using enum TokenType;
  Vocabulary& vocabulary = builder.vocabulary();
  vocabulary.unknown = builder.add("<unk>", kUnknown);
  vocabulary.bos = builder.add("<s>", kControl);
  vocabulary.eos = builder.add("</s>", kControl);
  builder.add_bytes();
  builder.add("<tool>", kUserDefined);
  float score = 0;
  for (const char* text : {"he", "ll", "hell", "▁hell", "▁hello", "▁▁"}) builder.add(text, kNormal, --score);
  builder.add("▁", kNormal, -100);
  for (char c = 'a'; c <= 'z'; ++c) builder.add(std::string(1, c), kNormal, -100);
  vocabulary.add_bos = vocabulary.add_space_prefix = true;
  vocabulary.stop_ids = {vocabulary.eos};
  return builder;
}

// Every byte by its letter of the alphabet, " h" and " he" merged.
inline VocabularyBuilder small_gpt2(std::string pre = "gpt-2") {
  VocabularyBuilder builder("gpt2");
  builder.vocabulary().pre = std::move(pre);
  builder.vocabulary().eos = builder.add("<|endoftext|>", TokenType::kControl);
  uint32_t next = 256;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    const bool is_itself = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    std::string text;
    append_utf8(text, is_itself ? byte : next++);
    builder.add(text);
  }
  builder.merge("Ġ", "h");
  builder.merge("Ġh", "e");
  builder.add("Ġhello");  // no merges lead here: only a tokenizer that takes whole pieces finds it
  return builder;
}

}  // namespace tessera::text::testing
