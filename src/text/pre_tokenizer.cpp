// The patterns, as published with the models (tokenizer.json) and named in GGUF files; the alternatives are written at
// the functions that match them. A pass that leaves text unmatched keeps each gap between two matches as a piece.
#include "text/pre_tokenizer.h"

#include <algorithm>
#include <string>

#include "text/utf8.h"

namespace tessera::text {
namespace {

using Char = PreTokenizer::Char;
using Chars = PreTokenizer::Chars;
using Lengths = std::vector<uint32_t>;

bool is_letter(Char c) { return c.kind == CharClass::kLetter; }
bool is_number(Char c) { return c.kind == CharClass::kNumber; }
bool is_space(Char c) { return c.kind == CharClass::kSpace; }
bool is_newline(Char c) { return c.code_point == '\n' || c.code_point == '\r'; }
bool is_digit(Char c) { return c.code_point >= '0' && c.code_point <= '9'; }

// How many characters from `at` on satisfy `is`.
template <typename Is>
size_t run(Chars chars, size_t at, Is is) {
  size_t end = at;
  while (end < chars.size() && is(chars[end])) ++end;
  return end - at;
}

// A pass made of `match(chars, at)`: the length of the match that begins at `at`, 0 for none.
template <auto match>
void split_matches(Chars chars, Lengths& lengths) {
  size_t gap = 0;  // where the unmatched text before `at` begins
  for (size_t at = 0; at < chars.size();) {
    const size_t n = match(chars, at);
    if (n == 0) {
      ++at;
      continue;
    }
    if (at > gap) lengths.push_back(static_cast<uint32_t>(at - gap));
    lengths.push_back(static_cast<uint32_t>(n));
    gap = at += n;
  }
  if (chars.size() > gap) lengths.push_back(static_cast<uint32_t>(chars.size() - gap));
}

// 's 't 're 've 'm 'll 'd
size_t match_contraction(Chars chars, size_t at, bool ignore_case) {
  if (chars[at].code_point != '\'') return 0;
  const auto letter = [&](size_t i) -> uint32_t {
    const uint32_t c = at + i < chars.size() ? chars[at + i].code_point : 0;
    return ignore_case && c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
  };
  const uint32_t first = letter(1), second = letter(2);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return 2;
  const bool is_pair =
      (first == 'r' && second == 'e') || (first == 'v' && second == 'e') || (first == 'l' && second == 'l');
  return is_pair ? 3 : 0;
}

// \s+(?!\S) | \s+ : whitespace, but the last of several leaves itself to a word that follows.
size_t match_spaces(Chars chars, size_t at) {
  const size_t n = run(chars, at, is_space);
  return n > 1 && at + n < chars.size() ? n - 1 : n;
}

// 's|'t|'re|'ve|'m|'ll|'d | ?\p{L}+ | ?\p{N}+ | ?[^\s\p{L}\p{N}]+ |\s+(?!\S) |\s+
size_t match_gpt2(Chars chars, size_t at) {
  if (const size_t n = match_contraction(chars, at, false)) return n;
  const size_t space = chars[at].code_point == ' ' && at + 1 < chars.size() ? 1 : 0;
  const auto is_other = [](Char c) { return !is_space(c) && !is_letter(c) && !is_number(c); };
  if (const size_t n = run(chars, at + space, is_letter)) return space + n;
  if (const size_t n = run(chars, at + space, is_number)) return space + n;
  if (const size_t n = run(chars, at + space, is_other)) return space + n;
  return match_spaces(chars, at);
}

// What the llama3 pattern and its descendants differ in.
struct Llama3Style {
  size_t max_digits;
  bool marks_are_letters;
};

// (?i)'s|'t|'re|'ve|'m|'ll|'d | [^\r\n\p{L}\p{N}]?\p{L}+ | \p{N}{1,max} | ?[^\s\p{L}\p{N}]+[\r\n]* | \s*[\r\n]+
// | \s+(?!\S) | \s+, with [\p{L}\p{M}] for letters and no \p{M} among the others where marks are letters.
template <Llama3Style style>
size_t match_llama3(Chars chars, size_t at) {
  const auto is_word = [](Char c) { return is_letter(c) || (style.marks_are_letters && c.kind == CharClass::kMark); };
  const auto is_other = [=](Char c) { return !is_space(c) && !is_word(c) && !is_number(c); };
  if (const size_t n = match_contraction(chars, at, true)) return n;
  if (!is_newline(chars[at]) && !is_letter(chars[at]) && !is_number(chars[at])) {
    if (const size_t n = run(chars, at + 1, is_word)) return 1 + n;
  }
  if (const size_t n = run(chars, at, is_word)) return n;
  if (const size_t n = run(chars.first(std::min(chars.size(), at + style.max_digits)), at, is_number)) return n;
  const size_t space = chars[at].code_point == ' ' ? 1 : 0;
  if (const size_t n = run(chars, at + space, is_other)) {
    return space + n + run(chars, at + space + n, is_newline);
  }
  size_t n = run(chars, at, is_space);
  while (n > 0 && !is_newline(chars[at + n - 1])) --n;
  return n > 0 ? n : match_spaces(chars, at);
}

template <auto is>
size_t match_run(Chars chars, size_t at) {
  return run(chars, at, is);
}

// \s?X+, where X may hold white space itself
template <auto is>
size_t match_run_after_space(Chars chars, size_t at) {
  const size_t space = is_space(chars[at]) ? 1 : 0;
  const size_t n = run(chars, at + space, is);
  return n > 0 ? space + n : run(chars, at, is);
}

size_t match_newline(Chars chars, size_t at) { return is_newline(chars[at]) ? 1 : 0; }
size_t match_number(Chars chars, size_t at) { return is_number(chars[at]) ? 1 : 0; }
// [0-9][0-9][0-9]
size_t match_three_digits(Chars chars, size_t at) {
  return run(chars.first(std::min(chars.size(), at + 3)), at, is_digit) == 3 ? 3 : 0;
}

// \s+$
void split_trailing_space(Chars chars, Lengths& lengths) {
  size_t end = chars.size();
  while (end > 0 && is_space(chars[end - 1])) --end;
  if (end > 0) lengths.push_back(static_cast<uint32_t>(end));
  if (end < chars.size()) lengths.push_back(static_cast<uint32_t>(chars.size() - end));
}

// [\p{P}$+<=>^~|]+ and the same with a backtick
bool is_default_punctuation(Char c) {
  return c.kind == CharClass::kPunctuation ||
         (c.code_point < 128 &&
          std::string_view("$+<=>^~|").find(static_cast<char>(c.code_point)) != std::string_view::npos);
}
bool is_falcon_punctuation(Char c) { return is_default_punctuation(c) || c.code_point == '`'; }

using Range = PreTokenizer::Range;

template <const auto& ranges>
bool is_in(Char c) {
  const auto after = std::upper_bound(std::begin(ranges), std::end(ranges), c.code_point,
                                      [](uint32_t code_point, const Range& range) { return code_point < range.first; });
  return after != std::begin(ranges) && c.code_point <= std::prev(after)->last;
}

// The cased letters that DeepSeek's pattern lists: most of Lu, Ll and Lt of the Unicode of its day.
constexpr Range kDeepseekLetters[] = {
    {0x0041, 0x005A},   {0x0061, 0x007A},   {0x00B5, 0x00B5},   {0x00C0, 0x00D6},   {0x00D8, 0x00F6},
    {0x00F8, 0x01BA},   {0x01BC, 0x01BF},   {0x01C4, 0x0293},   {0x0295, 0x02AF},   {0x0370, 0x0373},
    {0x0376, 0x0376},   {0x0377, 0x0377},   {0x037B, 0x037D},   {0x037F, 0x037F},   {0x0386, 0x0386},
    {0x0388, 0x038A},   {0x038C, 0x038C},   {0x038E, 0x03A1},   {0x03A3, 0x03F5},   {0x03F7, 0x0481},
    {0x048A, 0x052F},   {0x0531, 0x0556},   {0x10A0, 0x10C5},   {0x13A0, 0x13F5},   {0x13F8, 0x13FD},
    {0x1C90, 0x1CBA},   {0x1CBD, 0x1CBF},   {0x1D00, 0x1D2B},   {0x1D6B, 0x1D77},   {0x1D79, 0x1D9A},
    {0x1E00, 0x1F15},   {0x1F18, 0x1F1D},   {0x1F20, 0x1F45},   {0x1F48, 0x1F4D},   {0x1F50, 0x1F57},
    {0x1F59, 0x1F59},   {0x1F5B, 0x1F5B},   {0x1F5D, 0x1F5D},   {0x1F5F, 0x1F7D},   {0x1F80, 0x1FB4},
    {0x1FB6, 0x1FBC},   {0x1FBE, 0x1FBE},   {0x1FC2, 0x1FC4},   {0x1FC6, 0x1FCC},   {0x1FD0, 0x1FD3},
    {0x1FD6, 0x1FDB},   {0x1FE0, 0x1FEC},   {0x1FF2, 0x1FF4},   {0x1FF6, 0x1FFC},   {0x2102, 0x2102},
    {0x2107, 0x2107},   {0x210A, 0x2113},   {0x2115, 0x2115},   {0x2119, 0x211D},   {0x2124, 0x2124},
    {0x2126, 0x2126},   {0x2128, 0x2128},   {0x212A, 0x212D},   {0x212F, 0x2134},   {0x2139, 0x2139},
    {0x213C, 0x213F},   {0x2145, 0x2149},   {0x214E, 0x214E},   {0x2183, 0x2183},   {0x2184, 0x2184},
    {0x2C00, 0x2C7B},   {0x2C7E, 0x2CE4},   {0x2CEB, 0x2CEE},   {0x2CF2, 0x2CF2},   {0x2CF3, 0x2CF3},
    {0xA640, 0xA66D},   {0xA680, 0xA69B},   {0xA722, 0xA76F},   {0xA771, 0xA787},   {0xA78B, 0xA78E},
    {0xAB70, 0xABBF},   {0xFB00, 0xFB06},   {0xFB13, 0xFB17},   {0xFF21, 0xFF3A},   {0xFF41, 0xFF5A},
    {0x10400, 0x1044F}, {0x104B0, 0x104D3}, {0x104D8, 0x104FB}, {0x10C80, 0x10CB2}, {0x10CC0, 0x10CF2},
    {0x118A0, 0x118DF}, {0x1E900, 0x1E943},
};
constexpr Range kDeepseekPunctuation[] = {{0x21, 0x2f},     {0x3a, 0x7e},     {0x2018, 0x201f},
                                          {0x3000, 0x3002}, {0xff01, 0xff0f}, {0xff1a, 0xff5e}};
// Written there as three ranges that meet: U+0800 to U+4E00, U+4E00 to U+9FA5, U+AC00 to U+D7FF.
constexpr Range kDeepseekCjk[] = {{0x0800, 0x9fa5}, {0xac00, 0xd7ff}};

// Patterns of more than one line; the others stand where they are used.
constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen35Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+)"
    R"(|\s+(?!\S)|\s+)";

using Pass = PreTokenizer::Pass;
constexpr Pass kGpt2[] = {{split_matches<match_gpt2>, kGpt2Pattern}};
constexpr Pass kLlama3[] = {{split_matches<match_llama3<Llama3Style{3, false}>>, kLlama3Pattern}};
constexpr Pass kQwen2[] = {{split_matches<match_llama3<Llama3Style{1, false}>>, kQwen2Pattern}};
constexpr Pass kQwen35[] = {{split_matches<match_llama3<Llama3Style{1, true}>>, kQwen35Pattern}};
constexpr Pass kStarcoder[] = {{split_matches<match_number>, R"(\p{N})"}, {split_matches<match_gpt2>, kGpt2Pattern}};
constexpr Pass kFalcon[] = {{split_matches<match_run<is_falcon_punctuation>>, R"([\p{P}$+<=>^~|`]+)"},
                            {split_matches<match_gpt2>, kGpt2Pattern},
                            {split_matches<match_three_digits>, "[0-9][0-9][0-9]"}};
constexpr Pass kDefault[] = {{split_matches<match_run<is_default_punctuation>>, R"([\p{P}$+<=>^~|]+)"},
                             {split_matches<match_gpt2>, kGpt2Pattern},
                             {split_matches<match_run<is_number>>, R"(\p{N}+)"},
                             {split_matches<match_three_digits>, "[0-9][0-9][0-9]"}};
constexpr Pass kDeepseek[] = {
    {split_matches<match_newline>, R"([\r\n])"},
    {split_matches<match_run_after_space<is_in<kDeepseekLetters>>>, R"(\s?[{}]+)", kDeepseekLetters},
    {split_matches<match_run_after_space<is_in<kDeepseekPunctuation>>>, R"(\s?[{}]+)", kDeepseekPunctuation},
    {split_trailing_space, R"(\s+$)"},
    {split_matches<match_run<is_in<kDeepseekCjk>>>, "[{}]+", kDeepseekCjk},
    {split_matches<match_run<is_number>>, R"(\p{N}+)"},
};

constexpr PreTokenizer kPreTokenizers[] = {
    {"default", kDefault},
    {"gpt-2", kGpt2},
    {"phi-2", kGpt2},
    {"mpt", kGpt2},
    {"olmo", kGpt2},
    {"jais", kGpt2},
    {"llama3", kLlama3, true},
    {"llama-v3", kLlama3, true},
    {"llama-bpe", kLlama3, true},
    {"qwen2", kQwen2},
    {"deepseek-r1-qwen", kQwen2},
    {"qwen35", kQwen35},
    {"falcon", kFalcon},
    {"deepseek-llm", kDeepseek},
    {"starcoder", kStarcoder},
    {"refact", kStarcoder},
    {"command-r", kStarcoder},
    {"smollm", kStarcoder},
    {"codeshell", kStarcoder},
    {"exaone", kStarcoder},
};

std::vector<Char> read_chars(std::string_view text) {
  std::vector<Char> chars;
  chars.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = next_char(text.substr(at));
    chars.push_back({c.code_point, static_cast<uint32_t>(at), class_of(c.code_point)});
    at += c.size;
  }
  return chars;
}

}  // namespace

std::string PreTokenizer::Pass::regex() const {
  std::string set;
  for (const Range& range : ranges) {
    append_utf8(set, range.first);
    if (range.last == range.first) continue;
    set += '-';
    append_utf8(set, range.last);
  }
  std::string out(pattern);
  if (const size_t at = out.find("{}"); at != std::string::npos) out.replace(at, 2, set);
  return out;
}

std::vector<std::string_view> PreTokenizer::split(std::string_view text) const {
  const std::vector<Char> chars = read_chars(text);
  Lengths lengths, finer;
  if (!chars.empty()) lengths.push_back(static_cast<uint32_t>(chars.size()));
  for (const Pass& pass : passes) {
    finer.clear();
    size_t at = 0;
    for (uint32_t length : lengths) {
      pass.split(Chars(chars).subspan(at, length), finer);
      at += length;
    }
    std::swap(lengths, finer);
  }
  std::vector<std::string_view> pieces;
  pieces.reserve(lengths.size());
  size_t at = 0;
  for (uint32_t length : lengths) {
    const size_t begin = chars[at].begin;
    at += length;
    const size_t end = at < chars.size() ? chars[at].begin : text.size();
    pieces.push_back(text.substr(begin, end - begin));
  }
  return pieces;
}

Result<const PreTokenizer*> PreTokenizer::find(std::string_view name) {
  if (name.empty()) name = "default";
  std::string known;
  for (const PreTokenizer& candidate : kPreTokenizers) {
    if (candidate.name == name) return &candidate;
    known += known.empty() ? "" : ", ";
    known += candidate.name;
  }
  return not_implemented("pre-tokenizer \"{}\"; supported: {}", name, known);
}

}  // namespace tessera::text
