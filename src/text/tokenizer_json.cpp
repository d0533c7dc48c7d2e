#include "text/tokenizer_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "text/pre_tokenizer.h"
#include "text/utf8.h"

namespace tessera::text {
namespace {

// A JSON string. The text is UTF-8.
std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\')
      (out += '\\') += c;
    else if (static_cast<unsigned char>(c) < 0x20)
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(c));
    else
      out += c;
  }
  return out += '"';
}

Status check_utf8(const Vocabulary& v) {
  for (int32_t id = 0; id < v.size(); ++id) {
    for (std::string_view rest = v.tokens[static_cast<size_t>(id)]; !rest.empty();) {
      const Utf8Char c = next_char(rest);
      if (!c.is_valid) return invalid_format("token {} is not UTF-8, so no JSON can hold it", id);
      rest.remove_prefix(c.size);
    }
  }
  return {};
}

// The items of an array or object, with commas between them.
class List {
 public:
  List(std::string& out, char open, char close) : out_(out), close_(close) { out_ += open; }
  ~List() { out_ += close_; }
  List(const List&) = delete;
  List& operator=(const List&) = delete;
  std::string& next() {
    if (!is_first_) out_ += ",\n";
    is_first_ = false;
    return out_;
  }

 private:
  std::string& out_;
  const char close_;
  bool is_first_ = true;
};

// Tokens that are cut from a text as they are written.
void append_added_tokens(const Vocabulary& v, std::string& out) {
  List list(out, '[', ']');
  std::unordered_set<std::string_view> seen;  // of two equal ones the first counts
  for (int32_t id = 0; id < v.size(); ++id) {
    const TokenType type = v.types[static_cast<size_t>(id)];
    const std::string_view text = v.tokens[static_cast<size_t>(id)];
    const bool is_special = type == TokenType::kControl || type == TokenType::kUnknown;
    if ((!is_special && type != TokenType::kUserDefined) || text.empty() || !seen.insert(text).second) continue;
    fmt::format_to(std::back_inserter(list.next()),
                   R"({{"id":{},"content":{},"single_word":false,"lstrip":false,"rstrip":false,"normalized":false,)"
                   R"("special":{}}})",
                   id, quoted(text), is_special);
  }
}

void append_vocabulary(const Vocabulary& v, std::string& out) {
  List list(out, '{', '}');
  std::unordered_set<std::string_view> seen;
  for (int32_t id = 0; id < v.size(); ++id) {
    const std::string_view text = v.tokens[static_cast<size_t>(id)];
    if (!seen.insert(text).second) continue;
    fmt::format_to(std::back_inserter(list.next()), "{}:{}", quoted(text), id);
  }
}

void append_merge(std::string_view left, std::string_view right, List& list) {
  fmt::format_to(std::back_inserter(list.next()), "[{},{}]", quoted(left), quoted(right));
}

void append_ranked_merges(const Vocabulary& v, List& list) {
  for (const Merge& merge : v.merges) {
    if (merge.is_hole()) continue;
    append_merge(v.tokens[static_cast<size_t>(merge.left)], v.tokens[static_cast<size_t>(merge.right)], list);
  }
}

// "gemma4" takes a run of newlines that is a token whole, whether or not merges lead to it. Where some do not, pieces
// that are tokens must be left unmerged; the stretches between newlines are pieces too, but a token that is a whole
// piece comes out of BPE's merges anyway.
bool has_unmerged_newlines(const Vocabulary& v) {
  std::map<size_t, int32_t> runs;  // length to id
  for (int32_t id = 0; id < v.size(); ++id) {
    const std::string_view text = v.tokens[static_cast<size_t>(id)];
    if (!text.empty() && text.find_first_not_of('\n') == text.npos) runs[text.size()] = id;
  }
  std::set<std::pair<int32_t, int32_t>> merged;
  for (const Merge& merge : v.merges)
    if (!merge.is_hole()) merged.emplace(merge.left, merge.right);
  for (const auto& [size, id] : runs) {
    for (const auto& [left_size, left] : runs) {
      const auto right = left_size < size ? runs.find(size - left_size) : runs.end();
      if (right != runs.end() && !merged.contains({left, right->second})) return true;
    }
  }
  return false;
}

// Scores as merges: whatever two tokens make a third one, the best third first. Among the pairs that make the same
// token the order is free, since a rank below another token's is all that a score says.
void append_scored_merges(const Vocabulary& v, List& list) {
  std::unordered_map<std::string_view, int32_t> ids;
  std::vector<int32_t> order;
  for (int32_t id = 0; id < v.size(); ++id) {
    const TokenType type = v.types[static_cast<size_t>(id)];
    if (type == TokenType::kControl || type == TokenType::kByte || type == TokenType::kUnknown) continue;
    if (ids.emplace(v.tokens[static_cast<size_t>(id)], id).second) order.push_back(id);
  }
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return v.scores[static_cast<size_t>(a)] > v.scores[static_cast<size_t>(b)];
  });
  for (const int32_t id : order) {
    const std::string_view text = v.tokens[static_cast<size_t>(id)];
    for (size_t at = 0; at < text.size();) {
      at += next_char(text.substr(at)).size;
      if (at < text.size() && ids.contains(text.substr(0, at)) && ids.contains(text.substr(at)))
        append_merge(text.substr(0, at), text.substr(at), list);
    }
  }
}

// What the schemes differ in, as JSON.
struct Sections {
  std::string normalizer = "null", pre_tokenizer = "null", decoder;
  bool byte_fallback = false, takes_whole_pieces = false;
};

std::string sequence(std::string_view member, const std::vector<std::string>& items) {
  return fmt::format(R"({{"type":"Sequence","{}":[{}]}})", member, fmt::join(items, ","));
}

std::string replace(std::string_view from, std::string_view to) {
  return fmt::format(R"({{"type":"Replace","pattern":{{"String":{}}},"content":{}}})", quoted(from), quoted(to));
}

std::string split(std::string_view pattern) {
  return fmt::format(R"({{"type":"Split","pattern":{{"Regex":{}}},"behavior":"Isolated","invert":false}})",
                     quoted(pattern));
}

// "gemma4" and "llama": spaces are marks, unknown characters are bytes.
Sections sentencepiece_sections(bool adds_space, std::string pre_tokenizer) {
  std::vector<std::string> normalizers,
      decoders{replace(kSpaceMark, " "), R"({"type":"ByteFallback"})", R"({"type":"Fuse"})"};
  if (adds_space) {
    normalizers.push_back(fmt::format(R"({{"type":"Prepend","prepend":{}}})", quoted(kSpaceMark)));
    decoders.push_back(R"({"type":"Strip","content":" ","start":1,"stop":0})");
  }
  normalizers.push_back(replace(" ", kSpaceMark));
  return {.normalizer = normalizers.size() == 1 ? normalizers[0] : sequence("normalizers", normalizers),
          .pre_tokenizer = std::move(pre_tokenizer),
          .decoder = sequence("decoders", decoders),
          .byte_fallback = true};
}

Result<Sections> byte_level_sections(const Vocabulary& v) {
  const PreTokenizer& pre_tokenizer = *TRY(PreTokenizer::find(v.pre));
  const auto byte_level = [](bool use_regex) {
    return fmt::format(R"({{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":{}}})",
                       use_regex);
  };
  std::vector<std::string> passes;
  for (const PreTokenizer::Pass& pass : pre_tokenizer.passes) passes.push_back(split(pass.regex()));
  passes.push_back(byte_level(false));
  return Sections{.pre_tokenizer = sequence("pretokenizers", passes),
                  .decoder = byte_level(true),
                  .takes_whole_pieces = pre_tokenizer.takes_whole_pieces};
}

Result<Sections> sections_of(const Vocabulary& v) {
  if (v.model == "gemma4") {
    Sections sections = sentencepiece_sections(false, split("\\n+"));
    sections.takes_whole_pieces = has_unmerged_newlines(v);
    return sections;
  }
  if (v.model == "llama") return sentencepiece_sections(v.add_space_prefix, "null");
  if (v.model == "gpt2") return byte_level_sections(v);
  return not_implemented("tokenizer model \"{}\" as tokenizer.json; supported: gemma4, llama, gpt2", v.model);
}

// Puts bos before a text, for callers who ask for special tokens.
std::string post_processor(const Vocabulary& v) {
  if (!v.add_bos || v.bos < 0) return "null";
  const std::string bos = quoted(v.tokens[static_cast<size_t>(v.bos)]);
  const auto special = [&](int type) {
    return fmt::format(R"({{"SpecialToken":{{"id":{},"type_id":{}}}}})", bos, type);
  };
  const auto text = [](char name, int type) {
    return fmt::format(R"({{"Sequence":{{"id":"{}","type_id":{}}}}})", name, type);
  };
  return fmt::format(
      R"({{"type":"TemplateProcessing","single":[{},{}],"pair":[{},{},{},{}],"special_tokens":{{{}:{{"id":{},"ids":[{}],)"
      R"("tokens":[{}]}}}}}})",
      special(0), text('A', 0), special(0), text('A', 0), special(1), text('B', 1), bos, bos, v.bos, bos);
}

}  // namespace

Result<std::string> to_tokenizer_json(const Vocabulary& v) {
  TRY(check(v));
  TRY(check_utf8(v));
  const Sections sections = TRY(sections_of(v));
  const bool is_scored = v.model == "llama";
  if (is_scored && v.scores.empty()) return invalid_format("a \"llama\" tokenizer needs scores, and there are none");
  std::string out = R"({"version":"1.0","truncation":null,"padding":null,"added_tokens":)";
  append_added_tokens(v, out);
  fmt::format_to(std::back_inserter(out),
                 R"(,"normalizer":{},"pre_tokenizer":{},"post_processor":{},"decoder":{},)"
                 R"("model":{{"type":"BPE","dropout":null,"unk_token":{},"continuing_subword_prefix":null,)"
                 R"("end_of_word_suffix":null,"fuse_unk":{},"byte_fallback":{},"ignore_merges":{},"vocab":)",
                 sections.normalizer, sections.pre_tokenizer, post_processor(v), sections.decoder,
                 v.unknown >= 0 ? quoted(v.tokens[static_cast<size_t>(v.unknown)]) : "null", sections.byte_fallback,
                 sections.byte_fallback, sections.takes_whole_pieces);
  append_vocabulary(v, out);
  out += R"(,"merges":)";
  {
    List merges(out, '[', ']');
    is_scored ? append_scored_merges(v, merges) : append_ranked_merges(v, merges);
  }
  out += "}}\n";
  return out;
}

}  // namespace tessera::text
