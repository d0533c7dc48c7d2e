#include "text/tokenizer.h"

#include <algorithm>

#include "base/check.h"
#include "text/schemes.h"
#include "text/utf8.h"

namespace tessera::text {
namespace {

// A stretch of plain text longer than this is cut (at a byte, wherever it falls), to keep offsets inside 32 bits.
constexpr size_t kMaxPlainBytes = size_t{1} << 30;

std::optional<uint8_t> hex_digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<uint8_t>(c - '0');
  if (c >= 'A' && c <= 'F') return static_cast<uint8_t>(c - 'A' + 10);
  return std::nullopt;
}

}  // namespace

std::optional<uint8_t> parse_byte_token(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return std::nullopt;
  const auto high = hex_digit(text[3]), low = hex_digit(text[4]);
  if (!high || !low) return std::nullopt;
  return static_cast<uint8_t>(*high * 16 + *low);
}

ByteTokens::ByteTokens(const Vocabulary& vocabulary) {
  ids_.fill(vocabulary.unknown);
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    if (vocabulary.types[id] != TokenType::kByte) continue;
    if (const auto byte = parse_byte_token(vocabulary.tokens[id])) ids_[*byte] = static_cast<int32_t>(id);
  }
}

void ByteTokens::append(std::string_view bytes, std::vector<int32_t>& ids) const {
  for (char byte : bytes) {
    const int32_t id = ids_[static_cast<uint8_t>(byte)];
    if (id >= 0) ids.push_back(id);
  }
}

SpaceBreaks::SpaceBreaks(const Vocabulary& vocabulary) : joins_(0x110000) {
  for (std::string_view text : vocabulary.tokens) {
    if (text.find(kSpaceMark, 1) == std::string_view::npos) continue;
    for (uint32_t previous = 0; !text.empty();) {
      const Utf8Char c = next_char(text);
      if (text.starts_with(kSpaceMark)) joins_[previous] = true;
      previous = c.code_point;
      text.remove_prefix(c.size);
    }
  }
}

std::string sentencepiece_piece(std::string_view text, TokenType type) {
  if (type == TokenType::kByte) {
    if (const auto byte = parse_byte_token(text)) return std::string(1, static_cast<char>(*byte));
  }
  if (type != TokenType::kNormal && type != TokenType::kUnused) return std::string(text);
  std::string piece;
  for (size_t mark; (mark = text.find(kSpaceMark)) != std::string_view::npos;
       text.remove_prefix(mark + kSpaceMark.size())) {
    piece.append(text.substr(0, mark)).push_back(' ');
  }
  piece += text;
  return piece;
}

Result<std::unique_ptr<const Tokenizer>> Tokenizer::create(SharedVocabulary vocabulary) {
  TRY(check(*vocabulary));
  if (vocabulary->model == "gemma4") return make_gemma4_tokenizer(std::move(vocabulary));
  if (vocabulary->model == "llama" && vocabulary->scores.empty()) {
    return invalid_format("vocabulary: a \"llama\" tokenizer needs scores, and there are none");
  }
  if (vocabulary->model == "llama") return make_llama_tokenizer(std::move(vocabulary));
  if (vocabulary->model == "gpt2") return make_gpt2_tokenizer(std::move(vocabulary));
  return not_implemented("tokenizer model \"{}\"; supported: gemma4, llama, gpt2", vocabulary->model);
}

Tokenizer::Tokenizer(SharedVocabulary vocabulary)
    : vocabulary_(std::move(vocabulary)), specials_(*vocabulary_), is_stop_(vocabulary_->tokens.size()) {
  piece_ends_.reserve(vocabulary_->tokens.size() + 1);
  for (int32_t id : vocabulary_->stop_ids)
    if (id >= 0) is_stop_[static_cast<size_t>(id)] = true;
}

void Tokenizer::append_piece(std::string_view bytes) {
  pieces_ += bytes;
  piece_ends_.push_back(static_cast<uint32_t>(pieces_.size()));
}

bool Tokenizer::is_control(int32_t id) const {
  if (id < 0 || id >= vocab_size()) return false;
  const TokenType type = vocabulary_->types[static_cast<size_t>(id)];
  return type == TokenType::kControl || type == TokenType::kUnknown;
}

bool Tokenizer::is_special(int32_t id) const {
  return is_control(id) ||
         (id >= 0 && id < vocab_size() && vocabulary_->types[static_cast<size_t>(id)] == TokenType::kUserDefined);
}

bool Tokenizer::is_stop(int32_t id) const { return id >= 0 && id < vocab_size() && is_stop_[static_cast<size_t>(id)]; }

std::string_view Tokenizer::piece(int32_t previous, int32_t id, DecodeOptions options) const {
  if (id < 0 || id >= vocab_size() || (is_control(id) && !options.show_special)) return {};
  DCHECK(piece_ends_.size() == vocabulary_->tokens.size() + 1);
  const size_t i = static_cast<size_t>(id);
  std::string_view bytes(pieces_.data() + piece_ends_[i], piece_ends_[i + 1] - piece_ends_[i]);
  if (bytes.starts_with(' ') && !is_special(id) && hides_leading_space(previous)) bytes.remove_prefix(1);
  return bytes;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, DecodeOptions options) const {
  std::string text;
  int32_t previous = -1;
  for (int32_t id : ids) {
    text += piece(previous, id, options);
    previous = id;
  }
  return text;
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  std::vector<int32_t> ids;
  if (options.add_bos && vocabulary_->bos >= 0) ids.push_back(vocabulary_->bos);
  bool after_special = true;
  for (const SpecialTokens::Fragment& fragment : specials_.cut(text, options.parse_special)) {
    const bool is_first = fragment.text.data() == text.data();
    if (fragment.id >= 0) {
      // A template that writes bos itself must not end up with two.
      if (!(is_first && fragment.id == vocabulary_->bos && !ids.empty())) ids.push_back(fragment.id);
      after_special = true;
      continue;
    }
    for (std::string_view rest = fragment.text; !rest.empty(); after_special = false) {
      encode_plain(rest.substr(0, kMaxPlainBytes), after_special, ids);
      rest.remove_prefix(std::min(rest.size(), kMaxPlainBytes));
    }
  }
  return ids;
}

}  // namespace tessera::text
