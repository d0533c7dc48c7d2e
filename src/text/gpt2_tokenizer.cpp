// "gpt2": byte-level BPE. A pre-tokenizer splits the text, each piece is merged by rank starting from its bytes.
//
// Token texts are written in an alphabet of 256 printable characters, one for each byte; encoding works on bytes and
// never sees it.
#include <array>

#include "text/merge_table.h"
#include "text/pre_tokenizer.h"
#include "text/schemes.h"
#include "text/token_index.h"
#include "text/utf8.h"

namespace tessera::text {
namespace {

// The alphabet: printable Latin-1 bytes stand for themselves, the other 68, in order, for U+0100 and on.
class ByteAlphabet {
 public:
  ByteAlphabet() {
    bytes_.fill(-1);
    uint32_t next = 256;
    for (int byte = 0; byte < 256; ++byte) {
      const bool is_itself = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
      bytes_[is_itself ? static_cast<uint32_t>(byte) : next++] = byte;
    }
  }
  // The bytes that a token text spells; characters outside the alphabet stay as they are.
  std::string spell(std::string_view text) const {
    std::string bytes;
    while (!text.empty()) {
      const Utf8Char c = next_char(text);
      const int byte = c.is_valid && c.code_point < bytes_.size() ? bytes_[c.code_point] : -1;
      if (byte >= 0) {
        bytes.push_back(static_cast<char>(byte));
      } else {
        bytes += text.substr(0, c.size);
      }
      text.remove_prefix(c.size);
    }
    return bytes;
  }

 private:
  std::array<int, 256 + 68> bytes_;  // by code point
};

class Gpt2Tokenizer final : public Tokenizer {
 public:
  Gpt2Tokenizer(SharedVocabulary shared, const PreTokenizer& pre_tokenizer)
      : Tokenizer(std::move(shared)), pre_tokenizer_(pre_tokenizer), merges_(vocabulary()) {
    const Vocabulary& v = vocabulary();
    const ByteAlphabet alphabet;
    bytes_.fill(v.unknown);
    for (int32_t id = 0; id < v.size(); ++id) {
      const std::string_view text = v.tokens[static_cast<size_t>(id)];
      if (is_special(id)) {
        append_piece(text);
        continue;
      }
      const std::string piece = alphabet.spell(text);
      append_piece(piece);
      if (piece.size() == 1) bytes_[static_cast<uint8_t>(piece[0])] = id;
    }
    if (pre_tokenizer_.takes_whole_pieces) index_pieces();
  }

 private:
  void index_pieces() {
    for (int32_t id = 0; id < vocab_size(); ++id) texts_.push_back(is_special(id) ? std::string_view() : piece(-1, id));
    index_ = TokenIndex(texts_);
    for (int32_t id = 0; id < vocab_size(); ++id)
      if (!texts_[static_cast<size_t>(id)].empty()) index_.add(id);
  }

  void encode_plain(std::string_view text, bool /*after_special*/, std::vector<int32_t>& ids) const override {
    Merger merger;
    for (std::string_view piece : pre_tokenizer_.split(text)) {
      if (const auto whole = index_.find(piece)) {
        ids.push_back(*whole);
      } else {
        encode_piece(piece, merger, ids);
      }
    }
  }

  void encode_piece(std::string_view piece, Merger& merger, std::vector<int32_t>& ids) const {
    merger.clear();
    for (size_t i = 0; i < piece.size(); ++i) {
      merger.add(static_cast<uint32_t>(i), 1, bytes_[static_cast<uint8_t>(piece[i])]);
    }
    merger.merge(
        [this](const Merger::Symbol& left, const Merger::Symbol& right) { return merges_.find(left.id, right.id); });
    merger.for_each([&](const Merger::Symbol& symbol) {
      if (symbol.id >= 0) ids.push_back(symbol.id);
    });
  }

  const PreTokenizer& pre_tokenizer_;
  MergeTable merges_;
  std::array<int32_t, 256> bytes_;  // ids of single bytes; the unknown token where there is none
  std::vector<std::string_view> texts_;
  TokenIndex index_;  // empty unless whole pieces are taken
};

}  // namespace

Result<std::unique_ptr<const Tokenizer>> make_gpt2_tokenizer(SharedVocabulary vocabulary) {
  const PreTokenizer& pre_tokenizer = *TRY(PreTokenizer::find(vocabulary->pre));
  return std::unique_ptr<const Tokenizer>(std::make_unique<Gpt2Tokenizer>(std::move(vocabulary), pre_tokenizer));
}

}  // namespace tessera::text
