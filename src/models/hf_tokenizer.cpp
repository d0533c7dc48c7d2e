// tokenizer.json of the Hugging Face tokenizers library: added_tokens, and a BPE model with vocab and merges.
#include <optional>

#include "models/hf_config.h"
#include "models/json_fields.h"

namespace tessera::models {
namespace {

using gguf::Value;
using nlohmann::json;

// tokenizer.ggml.token_type
enum : int32_t { kNormal = 1, kControl = 3, kUserDefined = 4, kByte = 6 };

bool is_byte_token(std::string_view text) {
  const auto is_hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'); };
  return text.size() == 6 && text.starts_with("<0x") && is_hex(text[3]) && is_hex(text[4]) && text[5] == '>';
}

// The only part of a sequence; what is no sequence, itself.
const json& without_sequence(const json& normalizer) {
  if (!normalizer.is_object() || normalizer.value("type", json()) != "Sequence") return normalizer;
  const auto parts = normalizer.find("normalizers");
  return parts != normalizer.end() && parts->is_array() && parts->size() == 1 ? (*parts)[0] : normalizer;
}

// Spaces become U+2581 and nothing else happens: what tells this tokenizer from others that are also called BPE. The
// normalizer is a Replace, alone or in a sequence.
bool replaces_spaces(const json& whole) {
  const json& normalizer = without_sequence(whole);
  if (!normalizer.is_object()) return false;
  const auto type = normalizer.find("type");
  if (type == normalizer.end()) return false;
  const auto pattern = normalizer.find("pattern"), content = normalizer.find("content");
  return *type == "Replace" && pattern != normalizer.end() && *pattern == json{{"String", " "}} &&
         content != normalizer.end() && *content == "\u2581";
}

class Reader {
 public:
  Reader(const json& object, const std::string& path) : fields_(object, path) {}

  Status run(gguf::Metadata& metadata) {
    const JsonFields model = TRY(fields_.object("model"));
    TRY(check_kind(model));
    const JsonFields vocab = TRY(model.object("vocab"));
    const json* added = fields_.find("added_tokens");
    n_listed_ = model.find("vocab")->size() + (added ? added->size() : 0);
    TRY(read_vocabulary(vocab, model.find("vocab")->items()));
    TRY(read_added());
    for (size_t id = 0; id < tokens_.size(); ++id)
      if (types_[id] == 0) return invalid_format("{}: there is no token {} of {}", fields_.where(), id, tokens_.size());
    metadata.set("tokenizer.ggml.model", Value("gemma4"));
    metadata.set("tokenizer.ggml.merges", Value::array(TRY(read_merges(model))));
    metadata.set("tokenizer.ggml.tokens", Value::array(std::move(tokens_)));
    metadata.set("tokenizer.ggml.token_type", Value::array(std::move(types_)));
    metadata.set("tokenizer.ggml.add_bos_token", Value(true));
    return {};
  }

 private:
  Status check_kind(const JsonFields& model) const {
    const std::string_view type = TRY(model.text("type"));
    const bool falls_back = TRY(model.boolean("byte_fallback", false));
    const json* normalizer = fields_.find("normalizer");
    if (type == "BPE" && falls_back && normalizer && replaces_spaces(*normalizer)) return {};
    return not_implemented(
        "{}: a tokenizer of type {}, byte_fallback {}; supported: BPE with byte_fallback whose normalizer turns spaces "
        "into U+2581",
        fields_.where(), type, falls_back);
  }

  Status put(const std::string& text, int64_t id, int32_t type) {
    const auto at = static_cast<size_t>(id);
    if (id < 0 || at >= n_listed_)  // some id below would have no token
      return invalid_format("{}: token \"{}\" has id {}, the file has {} tokens", fields_.where(), text, id, n_listed_);
    if (at >= tokens_.size()) {
      tokens_.resize(at + 1);
      types_.resize(at + 1, 0);
    }
    if (types_[at] != 0 && tokens_[at] != text)
      return invalid_format("{}: id {} is both \"{}\" and \"{}\"", fields_.where(), id, tokens_[at], text);
    tokens_[at] = text;
    types_[at] = type;
    return {};
  }

  template <typename Items>
  Status read_vocabulary(const JsonFields& vocab, const Items& items) {
    for (const auto& [text, id] : items) {
      const auto number = integer_of(id);
      if (!number) return invalid_format("{}: \"{}\" is not an id", vocab.where(), text);
      TRY(put(text, *number, is_byte_token(text) ? kByte : kNormal));
    }
    return {};
  }

  Status read_added() {
    if (!fields_.find("added_tokens")) return {};
    for (const json& token : *TRY(fields_.array("added_tokens"))) {
      if (!token.is_object()) return invalid_format("{}: added_tokens: expected objects", fields_.where());
      const JsonFields entry(token, fields_.where() + ": added_tokens");
      const std::string text(TRY(entry.text("content")));
      const int64_t id = TRY(entry.integer("id"));
      const bool is_special = TRY(entry.boolean("special", false));
      TRY(put(text, id, is_special ? kControl : kUserDefined));
    }
    return {};
  }

  // Each is "left right", or in newer files ["left", "right"].
  Result<std::vector<std::string>> read_merges(const JsonFields& model) const {
    std::vector<std::string> out;
    for (const json& merge : *TRY(model.array("merges"))) {
      if (merge.is_string()) {
        out.push_back(merge.get_ref<const std::string&>());
        continue;
      }
      if (!merge.is_array() || merge.size() != 2 || !merge[0].is_string() || !merge[1].is_string())
        return invalid_format("{}: merges: entry {} is not a pair of texts", model.where(), out.size());
      out.push_back(merge[0].get_ref<const std::string&>() + " " + merge[1].get_ref<const std::string&>());
    }
    return out;
  }

  JsonFields fields_;
  size_t n_listed_ = 0;  // in the vocabulary and in added_tokens, those in both counted twice
  std::vector<std::string> tokens_;
  std::vector<int32_t> types_;  // 0: no token has this id yet
};

}  // namespace

Status parse_hf_tokenizer(std::string_view text, const std::string& path, gguf::Metadata& metadata) {
  const json object = TRY(parse_json_object(text, path));
  return Reader(object, path).run(metadata);
}

Status read_hf_tokenizer(const std::string& path, gguf::Metadata& metadata) {
  const json object = TRY(read_json_object(path));
  return Reader(object, path).run(metadata);
}

}  // namespace tessera::models
