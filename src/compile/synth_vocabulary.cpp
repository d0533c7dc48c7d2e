#include "compile/synth_vocabulary.h"

#include <fmt/core.h>

#include <array>
#include <string_view>

#include "base/check.h"

namespace tessera::compile {
namespace {

// Codes of `tokenizer.ggml.token_type` (llama.cpp, enum llama_token_type).
enum TokenType : int32_t { kNormal = 1, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };

struct SpecialToken {
  int64_t id;
  std::string_view text;
  TokenType type;
};

// Where Gemma 4 has them.
constexpr SpecialToken kSpecialTokens[] = {
    {0, "<pad>", kControl},
    {1, "<eos>", kControl},
    {2, "<bos>", kControl},
    {3, "<unk>", kControl},
    {4, "<mask>", kControl},
    {46, "<|tool>", kControl},
    {47, "<tool|>", kControl},
    {48, "<|tool_call>", kUserDefined},
    {49, "<tool_call|>", kUserDefined},
    {50, "<|tool_response>", kUserDefined},
    {51, "<tool_response|>", kUserDefined},
    {52, "<|\"|>", kUserDefined},
    {98, "<|think|>", kControl},
    {100, "<|channel>", kUserDefined},
    {101, "<channel|>", kUserDefined},
    {105, "<|turn>", kControl},
    {106, "<turn|>", kControl},
    {107, "\n", kNormal},
    {108, "\n\n", kNormal},
    {109, "\n\n\n", kNormal},
    {255999, "<|image>", kControl},
    {256000, "<|audio>", kControl},
    {258880, "<|image|>", kControl},
    {258881, "<|audio|>", kControl},
    {258882, "<image|>", kControl},
    {258883, "<audio|>", kControl},
};
constexpr int64_t kFirstByteToken = 238;
constexpr std::string_view kSpace = "\u2581";  // stands for a space inside tokens
constexpr char kFirstLetter = 'a', kLastLetter = 'z';

// Puts tokens into the ids that are still free, in increasing order.
class Filler {
 public:
  explicit Filler(SynthVocabulary& vocabulary) : vocabulary_(vocabulary) { skip_taken(); }

  bool is_full() const { return next_ >= vocabulary_.tokens.size(); }
  void add(std::string text, TokenType type = kNormal) {
    if (is_full()) return;
    vocabulary_.tokens[next_] = std::move(text);
    vocabulary_.types[next_] = type;
    skip_taken();
  }
  // A token that is the merge of two others.
  void add_merge(const std::string& left, const std::string& right) {
    if (is_full()) return;
    vocabulary_.merges.push_back(left + " " + right);
    add(left + right);
  }

 private:
  void skip_taken() {
    while (!is_full() && !vocabulary_.tokens[next_].empty()) ++next_;
  }
  SynthVocabulary& vocabulary_;
  size_t next_ = 0;
};

void place_fixed_tokens(SynthVocabulary& vocabulary) {
  const auto place = [&](int64_t id, std::string text, TokenType type) {
    if (id >= static_cast<int64_t>(vocabulary.tokens.size())) return;
    vocabulary.tokens[static_cast<size_t>(id)] = std::move(text);
    vocabulary.types[static_cast<size_t>(id)] = type;
  };
  for (const SpecialToken& token : kSpecialTokens) place(token.id, std::string(token.text), token.type);
  for (int byte = 0; byte < 256; ++byte) place(kFirstByteToken + byte, fmt::format("<0x{:02X}>", byte), kByte);
  vocabulary.merges = {"\n \n", "\n\n \n"};
}

// Pairs of letters (one may be the space), then such a pair and a letter, then two pairs: 702, 18,252 and 474,552
// tokens, no two of them equal.
void add_words(Filler& filler) {
  std::vector<std::string> pairs, inner_pairs, letters;
  for (char c = kFirstLetter; c <= kLastLetter; ++c) letters.emplace_back(1, c);
  std::vector<std::string> starts = {std::string(kSpace)};
  starts.insert(starts.end(), letters.begin(), letters.end());
  for (const auto& start : starts) {
    for (const auto& letter : letters) {
      filler.add_merge(start, letter);
      pairs.push_back(start + letter);
      if (start != kSpace) inner_pairs.push_back(start + letter);
    }
  }
  for (const auto* ends : {&letters, &inner_pairs}) {
    for (const auto& pair : pairs)
      for (const auto& end : *ends) filler.add_merge(pair, end);
  }
}

}  // namespace

SynthVocabulary make_vocabulary(int64_t size) {
  CHECK(size >= kMinSynthVocab);
  SynthVocabulary vocabulary;
  vocabulary.tokens.resize(static_cast<size_t>(size));
  vocabulary.types.resize(static_cast<size_t>(size), kNormal);
  place_fixed_tokens(vocabulary);
  Filler filler(vocabulary);
  filler.add(std::string(kSpace));
  for (char c = '!'; c <= '~'; ++c) filler.add(std::string(1, c));
  add_words(filler);
  for (int64_t i = 0; !filler.is_full(); ++i) filler.add(fmt::format("<unused{}>", i), kUnused);
  return vocabulary;
}

}  // namespace tessera::compile
