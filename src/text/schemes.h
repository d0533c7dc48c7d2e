// The three tokenizers behind Tokenizer::create(), and what they share.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "text/tokenizer.h"

namespace tessera::text {

using SharedVocabulary = std::shared_ptr<const Vocabulary>;

std::unique_ptr<const Tokenizer> make_gemma4_tokenizer(SharedVocabulary vocabulary);
std::unique_ptr<const Tokenizer> make_llama_tokenizer(SharedVocabulary vocabulary);
// Fails on a pre-tokenizer that is not implemented.
Result<std::unique_ptr<const Tokenizer>> make_gpt2_tokenizer(SharedVocabulary vocabulary);

// The byte a token text of the form "<0xHH>" names.
std::optional<uint8_t> parse_byte_token(std::string_view text);

// Bytes to the ids of their "<0xHH>" tokens: how text without tokens of its own is written.
class ByteTokens {
 public:
  explicit ByteTokens(const Vocabulary& vocabulary);
  // One id for each byte; a byte without a token becomes the unknown token, or nothing if there is none.
  void append(std::string_view bytes, std::vector<int32_t>& ids) const;

 private:
  std::array<int32_t, 256> ids_;
};

// Where a text can be cut in front of a space without changing its ids: after a character that no token has in front of
// a U+2581. No merge can reach across such a place, so that words are merged one by one, with small queues: 1 MB of
// English takes 0.1 s instead of 4.
class SpaceBreaks {
 public:
  explicit SpaceBreaks(const Vocabulary& vocabulary);
  bool after(uint32_t code_point) const { return !joins_[code_point]; }

 private:
  std::vector<bool> joins_;  // by code point: some token continues it with a space
};

// The bytes a token of a "gemma4" or "llama" vocabulary stands for.
std::string sentencepiece_piece(std::string_view text, TokenType type);

}  // namespace tessera::text
