// "gemma4": SentencePiece's alphabet with BPE's merges. Spaces become U+2581, nothing splits the text into words but
// runs of newlines, merges are applied by rank over characters, and what has no token falls back to bytes.
//
// The files carry scores as well, all -1000: reading them as a SentencePiece model gives plausible, wrong ids.
#include <array>

#include "text/merge_table.h"
#include "text/schemes.h"
#include "text/utf8.h"

namespace tessera::text {
namespace {

// Single characters to ids: pages of 256 code points, allocated where there are tokens.
class CharacterIds {
 public:
  explicit CharacterIds(const Vocabulary& vocabulary) : pages_(kPages) {
    for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
      const std::string_view text = vocabulary.tokens[id];
      if (text.empty() || text.size() > 4 || vocabulary.types[id] == TokenType::kControl) continue;
      const Utf8Char c = next_char(text);
      if (c.is_valid && c.size == text.size()) set(c.code_point, static_cast<int32_t>(id));
    }
  }
  int32_t find(uint32_t code_point) const {
    const auto& page = pages_[code_point / kPageSize];
    return page ? (*page)[code_point % kPageSize] : -1;
  }

 private:
  static constexpr uint32_t kPageSize = 256, kPages = 0x110000 / kPageSize;
  using Page = std::array<int32_t, kPageSize>;

  void set(uint32_t code_point, int32_t id) {
    auto& page = pages_[code_point / kPageSize];
    if (!page) {
      page = std::make_unique<Page>();
      page->fill(-1);
    }
    (*page)[code_point % kPageSize] = id;
  }

  std::vector<std::unique_ptr<Page>> pages_;
};

class Gemma4Tokenizer final : public Tokenizer {
 public:
  explicit Gemma4Tokenizer(SharedVocabulary shared)
      : Tokenizer(std::move(shared)),
        merges_(vocabulary()),
        characters_(vocabulary()),
        bytes_(vocabulary()),
        breaks_(vocabulary()) {
    const Vocabulary& v = vocabulary();
    for (size_t id = 0; id < v.tokens.size(); ++id) {
      append_piece(sentencepiece_piece(v.tokens[id], v.types[id]));
      const std::string_view text = v.tokens[id];
      if (text.empty() || text.find_first_not_of('\n') != text.npos) continue;
      if (newline_runs_.size() <= text.size()) newline_runs_.resize(text.size() + 1, -1);
      newline_runs_[text.size()] = static_cast<int32_t>(id);
    }
  }

 private:
  void encode_plain(std::string_view text, bool /*after_special*/, std::vector<int32_t>& ids) const override {
    Merger merger;
    while (!text.empty()) {
      const size_t newlines = std::min(text.find_first_not_of('\n'), text.size());
      const size_t size = newlines > 0 ? newlines : std::min(text.find('\n'), text.size());
      // A run of newlines that is a token is that token, whatever the merges would make of it.
      if (newlines > 0 && newlines < newline_runs_.size() && newline_runs_[newlines] >= 0) {
        ids.push_back(newline_runs_[newlines]);
      } else {
        encode_run(text.substr(0, size), merger, ids);
      }
      text.remove_prefix(size);
    }
  }

  void encode_run(std::string_view run, Merger& merger, std::vector<int32_t>& ids) const {
    uint32_t previous = 0;
    for (size_t at = 0; at < run.size();) {
      Utf8Char c = next_char(run.substr(at));
      if (c.code_point == ' ') c.code_point = kSpaceMarkCodePoint;
      if (c.code_point == kSpaceMarkCodePoint && breaks_.after(previous)) merge_symbols(run, merger, ids);
      merger.add(static_cast<uint32_t>(at), c.size, c.is_valid ? characters_.find(c.code_point) : -1);
      previous = c.code_point;
      at += c.size;
    }
    merge_symbols(run, merger, ids);
  }

  // Moves the symbols gathered so far to `ids`.
  void merge_symbols(std::string_view run, Merger& merger, std::vector<int32_t>& ids) const {
    merger.merge(
        [this](const Merger::Symbol& left, const Merger::Symbol& right) { return merges_.find(left.id, right.id); });
    merger.for_each([&](const Merger::Symbol& symbol) {
      if (symbol.id >= 0) {
        ids.push_back(symbol.id);
      } else {
        bytes_.append(run.substr(symbol.begin, symbol.size), ids);
      }
    });
    merger.clear();
  }

  MergeTable merges_;
  CharacterIds characters_;
  ByteTokens bytes_;
  SpaceBreaks breaks_;
  std::vector<int32_t> newline_runs_;  // by length
};

}  // namespace

std::unique_ptr<const Tokenizer> make_gemma4_tokenizer(SharedVocabulary vocabulary) {
  return std::make_unique<Gemma4Tokenizer>(std::move(vocabulary));
}

}  // namespace tessera::text
