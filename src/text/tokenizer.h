// Text to token ids and back. Three schemes, chosen by the vocabulary's model name: "gemma4" (BPE by rank over
// characters), "llama" (SentencePiece merging by score) and "gpt2" (byte-level BPE behind a pre-tokenizer).
//
// Any bytes can be encoded. Where they are not UTF-8, each offending byte becomes a byte token (or, byte-level, is
// encoded as it is), so decode(encode(bytes)) == bytes for every input, with two exceptions by design of the schemes:
// "gemma4" and "llama" read U+2581 as a space, and bytes whose byte token a vocabulary lacks become the unknown token.
//
// A tokenizer is immutable: any number of threads may use one.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/special_tokens.h"
#include "text/vocabulary.h"

namespace tessera::text {

struct EncodeOptions {
  bool add_bos = false;        // put bos first, unless the text itself begins with it
  bool parse_special = false;  // control tokens written out in the text become their ids
};

struct DecodeOptions {
  bool show_special = false;  // control tokens appear as their text instead of nothing
};

class Tokenizer {
 public:
  static Result<std::unique_ptr<const Tokenizer>> create(std::shared_ptr<const Vocabulary> vocabulary);
  virtual ~Tokenizer() = default;
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  std::vector<int32_t> encode(std::string_view text, EncodeOptions options = {}) const;
  // Ids outside the vocabulary decode to nothing.
  std::string decode(std::span<const int32_t> ids, DecodeOptions options = {}) const;

  // The bytes that `id` adds after `previous` (-1: at the beginning). The bytes of one token need not be whole UTF-8
  // characters; text/stream_decoder.h puts them together.
  std::string_view piece(int32_t previous, int32_t id, DecodeOptions options = {}) const;

  bool is_control(int32_t id) const;  // control or unknown: shows as nothing
  bool is_stop(int32_t id) const;

  // `text` with a zero-width space inside everything that reads as a special token: safe to put between a template's
  // markers.
  std::string defuse(std::string_view text) const { return specials_.defuse(text); }

  int32_t vocab_size() const { return vocabulary_->size(); }
  const Vocabulary& vocabulary() const { return *vocabulary_; }

 protected:
  explicit Tokenizer(std::shared_ptr<const Vocabulary> vocabulary);

  // Appends the ids of `text`, which holds no special token. `after_special`: it begins the input or follows a special
  // token that was cut out.
  virtual void encode_plain(std::string_view text, bool after_special, std::vector<int32_t>& ids) const = 0;
  // True if encode_plain put a space in front of a text that comes after `previous`.
  virtual bool hides_leading_space(int32_t /*previous*/) const { return false; }

  bool is_special(int32_t id) const;  // cut out of the text verbatim: control, unknown or user-defined
  // What every token stands for; filled by the constructors of the schemes, one call per token, in order.
  void append_piece(std::string_view bytes);

 private:
  std::shared_ptr<const Vocabulary> vocabulary_;
  SpecialTokens specials_;
  std::vector<bool> is_stop_;
  std::string pieces_;                   // concatenated
  std::vector<uint32_t> piece_ends_{0};  // vocab_size + 1 offsets into pieces_
};

}  // namespace tessera::text
