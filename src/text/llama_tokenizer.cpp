// "llama": SentencePiece's BPE by score. Of all neighbours whose concatenation is a token, the one with the highest
// score is joined first; what has no token falls back to bytes. Text is read as if a space stood before it, where the
// vocabulary says so, and decoding hides that space again.
#include <bit>

#include "text/merger.h"
#include "text/schemes.h"
#include "text/token_index.h"
#include "text/utf8.h"

namespace tessera::text {
namespace {

// Higher scores to lower numbers, in order: the bits of a float compare like an integer once negatives are mirrored.
uint32_t priority_of(float score) {
  const uint32_t bits = std::bit_cast<uint32_t>(score + 0.0f);  // -0 and 0 are one score
  const uint32_t ascending = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
  return ~ascending;
}

class LlamaTokenizer final : public Tokenizer {
 public:
  explicit LlamaTokenizer(SharedVocabulary shared)
      : Tokenizer(std::move(shared)), index_(vocabulary().tokens), bytes_(vocabulary()), breaks_(vocabulary()) {
    const Vocabulary& v = vocabulary();
    for (size_t id = 0; id < v.tokens.size(); ++id) {
      append_piece(sentencepiece_piece(v.tokens[id], v.types[id]));
      // Plain text never becomes a control or byte token, even if it spells one.
      if (v.types[id] == TokenType::kNormal || v.types[id] == TokenType::kUnused ||
          v.types[id] == TokenType::kUserDefined) {
        index_.add(static_cast<int32_t>(id));
      }
    }
  }

 private:
  bool hides_leading_space(int32_t previous) const override {
    return vocabulary().add_space_prefix && (previous < 0 || is_special(previous));
  }

  void encode_plain(std::string_view plain, bool after_special, std::vector<int32_t>& ids) const override {
    std::string text;
    text.reserve(plain.size() + plain.size() / 2);
    if (vocabulary().add_space_prefix && after_special) text += kSpaceMark;
    for (char byte : plain) {
      if (byte == ' ') {
        text += kSpaceMark;
      } else {
        text += byte;
      }
    }
    encode_escaped(text, ids);
  }

  void encode_escaped(std::string_view text, std::vector<int32_t>& ids) const {
    Merger merger;
    uint32_t previous = 0;
    for (size_t at = 0; at < text.size();) {
      const Utf8Char c = next_char(text.substr(at));
      if (c.code_point == kSpaceMarkCodePoint && breaks_.after(previous)) merge_symbols(text, merger, ids);
      merger.add(static_cast<uint32_t>(at), c.size, find(text.substr(at, c.size)));
      previous = c.code_point;
      at += c.size;
    }
    merge_symbols(text, merger, ids);
  }

  // Moves the symbols gathered so far to `ids`.
  void merge_symbols(std::string_view text, Merger& merger, std::vector<int32_t>& ids) const {
    merger.merge([&](const Merger::Symbol& left, const Merger::Symbol& right) -> std::optional<Merger::Joined> {
      const size_t size = left.size + right.size;
      if (size > index_.longest()) return std::nullopt;
      const int32_t id = find(text.substr(left.begin, size));
      if (id < 0) return std::nullopt;
      return Merger::Joined{priority_of(vocabulary().scores[static_cast<size_t>(id)]), id};
    });
    // Joined symbols are tokens by construction: only single characters can be without one.
    merger.for_each([&](const Merger::Symbol& symbol) {
      const std::string_view bytes = text.substr(symbol.begin, symbol.size);
      if (symbol.id >= 0) {
        ids.push_back(symbol.id);
      } else {
        bytes_.append(bytes == kSpaceMark ? " " : bytes, ids);
      }
    });
    merger.clear();
  }

  int32_t find(std::string_view text) const { return index_.find(text).value_or(-1); }

  TokenIndex index_;
  ByteTokens bytes_;
  SpaceBreaks breaks_;
};

}  // namespace

std::unique_ptr<const Tokenizer> make_llama_tokenizer(SharedVocabulary vocabulary) {
  return std::make_unique<LlamaTokenizer>(std::move(vocabulary));
}

}  // namespace tessera::text
