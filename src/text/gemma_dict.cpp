#include "text/gemma_dict.h"

#include <algorithm>

#include "text/ascii.h"
#include "text/utf8.h"

namespace tessera::text {
namespace {

using nlohmann::json;

constexpr int kMaxDepth = 64;

// A recursive-descent parser over the rest of the text.
class Parser {
 public:
  explicit Parser(std::string_view text) : rest_(text) {}
  std::string_view rest() const { return rest_; }

  Result<json> object(int depth) {
    json out = json::object();
    if (!take("{")) return expected("\"{\"");
    if (take("}")) return out;
    do {
      std::string key = TRY(this->key());
      if (!take(":")) return expected("\":\"");
      out[std::move(key)] = TRY(value(depth));
    } while (take(","));
    if (!take("}")) return expected("\",\" or \"}\"");
    return out;
  }

 private:
  Result<json> value(int depth) {
    if (depth >= kMaxDepth) return invalid_format("tool call: nested deeper than {}", kMaxDepth);
    skip_space();
    if (rest_.starts_with('{')) return object(depth + 1);
    if (rest_.starts_with('[')) return array(depth + 1);
    if (rest_.starts_with(kGemmaQuote)) return json(TRY(quoted()));
    return bare();
  }

  Result<json> array(int depth) {
    json out = json::array();
    take("[");
    if (take("]")) return out;
    do out.push_back(TRY(value(depth)));
    while (take(","));
    if (!take("]")) return expected("\",\" or \"]\"");
    return out;
  }

  Result<std::string> quoted() {
    rest_.remove_prefix(kGemmaQuote.size());
    const size_t end = rest_.find(kGemmaQuote);
    if (end == std::string_view::npos) return expected("a closing <|\"|>");
    std::string text = to_valid_utf8(rest_.substr(0, end));
    rest_.remove_prefix(end + kGemmaQuote.size());
    return text;
  }

  Result<std::string> key() {
    skip_space();
    if (rest_.starts_with(kGemmaQuote)) return quoted();
    const std::string_view key = trim_ascii(rest_.substr(0, rest_.find_first_of(":,{}[]")));
    if (key.empty()) return expected("a key");
    rest_.remove_prefix(static_cast<size_t>(key.end() - rest_.begin()));
    return to_valid_utf8(key);
  }

  // A number, true, false, null; any other word is taken for a string whose marks were forgotten.
  Result<json> bare() {
    const std::string_view word = trim_ascii(rest_.substr(0, rest_.find_first_of(",}]")));
    if (word.empty()) return expected("a value");
    rest_.remove_prefix(static_cast<size_t>(word.end() - rest_.begin()));
    if (word == "None") return json(nullptr);
    const std::string text = to_valid_utf8(word);
    const json parsed = json::parse(text, nullptr, /*allow_exceptions=*/false);
    return parsed.is_discarded() || parsed.is_structured() ? json(text) : parsed;
  }

  void skip_space() { rest_.remove_prefix(std::min(rest_.find_first_not_of(kAsciiSpace), rest_.size())); }
  bool take(std::string_view what) {
    skip_space();
    if (!rest_.starts_with(what)) return false;
    rest_.remove_prefix(what.size());
    return true;
  }
  Error expected(std::string_view what) const {
    return invalid_format("tool call: expected {}, found \"{}\"", what, rest_.substr(0, 32));
  }

  std::string_view rest_;
};

}  // namespace

std::vector<std::pair<std::string, const json*>> sorted_members(const json& object) {
  std::vector<std::pair<std::string, const json*>> members;
  if (!object.is_object()) return members;
  for (const auto& [key, value] : object.items()) members.emplace_back(key, &value);
  std::stable_sort(members.begin(), members.end(),
                   [](const auto& a, const auto& b) { return to_lower_ascii(a.first) < to_lower_ascii(b.first); });
  return members;
}

void append_gemma_string(std::string& out, std::string_view text) {
  out.append(kGemmaQuote).append(text).append(kGemmaQuote);
}

void append_gemma_value(std::string& out, const json& value, GemmaKeys keys) {
  if (value.is_string()) return append_gemma_string(out, value.get_ref<const std::string&>());
  bool is_first = true;
  const auto separate = [&] {
    if (!is_first) out += ',';
    is_first = false;
  };
  if (value.is_object()) {
    out += '{';
    for (const auto& [key, member] : sorted_members(value)) {
      separate();
      if (keys == GemmaKeys::kQuoted) {
        append_gemma_string(out, key);
      } else {
        out += key;
      }
      out += ':';
      append_gemma_value(out, *member, keys);
    }
    out += '}';
  } else if (value.is_array()) {
    out += '[';
    for (const json& element : value) {
      separate();
      append_gemma_value(out, element, keys);
    }
    out += ']';
  } else {
    out += value.dump();  // null, booleans, numbers
  }
}

Result<json> take_gemma_object(std::string_view& text) {
  Parser parser(text);
  json object = TRY(parser.object(0));
  text = parser.rest();
  return object;
}

}  // namespace tessera::text
