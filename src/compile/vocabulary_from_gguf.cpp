#include "compile/vocabulary_from_gguf.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "text/token_index.h"

namespace tessera::compile {
namespace {

using text::Merge;
using text::TokenIndex;
using text::TokenType;
using text::Vocabulary;

// Gemma 4's markers and the types they must have: files of April 2026 type some of them as normal text.
struct Marker {
  std::string_view text;
  TokenType type;
};
constexpr Marker kGemmaMarkers[] = {
    {"<pad>", TokenType::kControl},
    {"<eos>", TokenType::kControl},
    {"<bos>", TokenType::kControl},
    {"<|think|>", TokenType::kControl},
    {"<|turn>", TokenType::kControl},
    {"<turn|>", TokenType::kControl},
    {"<|tool>", TokenType::kControl},
    {"<tool|>", TokenType::kControl},
    {"<|channel>", TokenType::kUserDefined},
    {"<channel|>", TokenType::kUserDefined},
    {"<|tool_call>", TokenType::kUserDefined},
    {"<tool_call|>", TokenType::kUserDefined},
    {"<|tool_response>", TokenType::kUserDefined},
    {"<tool_response|>", TokenType::kUserDefined},
    {"<|\"|>", TokenType::kUserDefined},
};

// <|tool_response> because a turn that waits for a tool's answer ends by opening it. The vocabulary also has a "</s>",
// which is ordinary text.
constexpr std::string_view kGemmaStops[] = {"<eos>", "<turn|>", "<|tool_response>"};
// Soft tokens and fences of images, audio and video: nothing that text generation should ever produce.
constexpr std::string_view kGemmaMedia[] = {"<|image>", "<image|>",  "<|image|>", "<|audio>",
                                            "<audio|>", "<|audio|>", "<|video|>"};
// End-of-turn markers of other families, beside eos and eot.
constexpr std::string_view kOtherStops[] = {"<|eot_id|>",    "<|im_end|>",      "<|end|>",    "<end_of_turn>",
                                            "<|endoftext|>", "<|end_of_text|>", "<|eom_id|>", "<|return|>"};

bool is_gemma(const Vocabulary& vocabulary) { return vocabulary.model == "gemma4"; }
bool is_llama(const Vocabulary& vocabulary) { return vocabulary.model == "llama"; }

void add_unique(std::vector<int32_t>& ids, int32_t id) {
  if (id >= 0 && std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
}

Status expect_one_per_token(const Vocabulary& vocabulary, std::string_view key, size_t size) {
  if (size == vocabulary.tokens.size()) return {};
  return invalid_format("{}: {} elements; tokenizer.ggml.tokens has {}", key, size, vocabulary.tokens.size());
}

Status read_types(const gguf::Metadata& metadata, Vocabulary& vocabulary) {
  constexpr std::string_view kKey = "tokenizer.ggml.token_type";
  vocabulary.types.assign(vocabulary.tokens.size(), TokenType::kNormal);
  if (!metadata.contains(kKey)) return {};
  const auto types = TRY(metadata.get_int_array(kKey));
  TRY(expect_one_per_token(vocabulary, kKey, types.size()));
  for (size_t id = 0; id < types.size(); ++id) {
    if (types[id] < 0 || types[id] > 6) {
      return invalid_format("{}: token {} has type {}; expected 0 to 6", kKey, id, types[id]);
    }
    if (types[id] > 0) vocabulary.types[id] = static_cast<TokenType>(types[id]);  // 0: undefined, as good as normal
  }
  return {};
}

// Scores decide how "llama" merges. "gemma4" files carry them too, all -1000, and do not use them.
Status read_scores(const gguf::Metadata& metadata, Vocabulary& vocabulary) {
  constexpr std::string_view kKey = "tokenizer.ggml.scores";
  if (!metadata.contains(kKey) && !is_llama(vocabulary)) return {};
  auto scores = TRY(metadata.get_f32_array(kKey));
  TRY(expect_one_per_token(vocabulary, kKey, scores.size()));
  if (is_llama(vocabulary)) vocabulary.scores = std::move(scores);
  return {};
}

// "left right", split at the first space that is not the first character. A merge of texts that are not tokens can
// never apply: it stays as a hole, so that the others keep their ranks.
Status read_merges(const gguf::Metadata& metadata, const TokenIndex& index, Vocabulary& vocabulary) {
  constexpr std::string_view kKey = "tokenizer.ggml.merges";
  if (is_llama(vocabulary)) return {};
  const auto merges = TRY(metadata.get_string_array(kKey));
  vocabulary.merges.resize(merges.size());
  std::string joined;
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const size_t space = merges[rank].find(' ', 1);
    if (space == std::string_view::npos) {
      return invalid_format("{}: entry {} is \"{}\"; expected two tokens and a space", kKey, rank, merges[rank]);
    }
    const std::string_view left = merges[rank].substr(0, space), right = merges[rank].substr(space + 1);
    joined.assign(left).append(right);
    const auto left_id = index.find(left), right_id = index.find(right), result = index.find(joined);
    if (left_id && right_id && result) vocabulary.merges[rank] = {*left_id, *right_id, *result};
  }
  return {};
}

Status read_id(const gguf::Metadata& metadata, std::string_view name, int32_t& id) {
  const std::string key = fmt::format("tokenizer.ggml.{}_token_id", name);
  if (!metadata.contains(key)) return {};
  const int64_t value = TRY(metadata.get_i64(key));
  if (value < -1 || value > std::numeric_limits<int32_t>::max()) {
    return invalid_format("{}: {} is no token id", key, value);
  }
  id = static_cast<int32_t>(value);
  return {};
}

Status read_ids(const gguf::Metadata& metadata, const TokenIndex& index, Vocabulary& vocabulary) {
  if (is_llama(vocabulary)) {  // llama.cpp's defaults for files without the keys
    vocabulary.unknown = 0;
    vocabulary.bos = 1;
    vocabulary.eos = 2;
  }
  TRY(read_id(metadata, "bos", vocabulary.bos));
  TRY(read_id(metadata, "eos", vocabulary.eos));
  TRY(read_id(metadata, "eot", vocabulary.eot));
  TRY(read_id(metadata, "unknown", vocabulary.unknown));
  TRY(read_id(metadata, "padding", vocabulary.padding));
  if (!is_gemma(vocabulary)) return {};
  const std::pair<std::string_view, int32_t*> by_text[] = {{"<bos>", &vocabulary.bos},
                                                           {"<eos>", &vocabulary.eos},
                                                           {"<turn|>", &vocabulary.eot},
                                                           {"<unk>", &vocabulary.unknown},
                                                           {"<pad>", &vocabulary.padding}};
  for (const auto& [text, id] : by_text) *id = index.find(text).value_or(*id);
  return {};
}

Status read_flags(const gguf::Metadata& metadata, Vocabulary& vocabulary) {
  const bool is_llama3 = vocabulary.pre == "llama3" || vocabulary.pre == "llama-v3" || vocabulary.pre == "llama-bpe";
  vocabulary.add_bos =
      TRY(metadata.get_bool("tokenizer.ggml.add_bos_token", is_llama(vocabulary) || is_llama3)) || is_gemma(vocabulary);
  vocabulary.add_eos = TRY(metadata.get_bool("tokenizer.ggml.add_eos_token", false));
  vocabulary.add_space_prefix = is_llama(vocabulary) && TRY(metadata.get_bool("tokenizer.ggml.add_space_prefix", true));
  return {};
}

// Without types in the file, what looks like a byte token is one. Gemma's markers get the types they must have.
void repair_types(const gguf::Metadata& metadata, const TokenIndex& index, Vocabulary& vocabulary) {
  if (!metadata.contains("tokenizer.ggml.token_type")) {
    for (int byte = 0; byte < 256; ++byte) {
      if (const auto id = index.find(fmt::format("<0x{:02X}>", byte))) {
        vocabulary.types[static_cast<size_t>(*id)] = TokenType::kByte;
      }
    }
    for (int32_t id : {vocabulary.bos, vocabulary.eos, vocabulary.eot, vocabulary.padding}) {
      if (id >= 0 && id < vocabulary.size()) vocabulary.types[static_cast<size_t>(id)] = TokenType::kControl;
    }
  }
  if (!is_gemma(vocabulary)) return;
  for (const Marker& marker : kGemmaMarkers) {
    const auto id = index.find(marker.text);
    if (id && vocabulary.types[static_cast<size_t>(*id)] == TokenType::kNormal) {
      vocabulary.types[static_cast<size_t>(*id)] = marker.type;
    }
  }
}

void find_stop_ids(const TokenIndex& index, Vocabulary& vocabulary) {
  const auto add_text = [&](std::string_view text) { add_unique(vocabulary.stop_ids, index.find(text).value_or(-1)); };
  add_unique(vocabulary.stop_ids, vocabulary.eos);
  add_unique(vocabulary.stop_ids, vocabulary.eot);
  if (is_gemma(vocabulary)) {
    for (std::string_view text : kGemmaStops) add_text(text);
  } else {
    for (std::string_view text : kOtherStops) add_text(text);
  }
}

Status read_suppressed(const gguf::Metadata& metadata, const TokenIndex& index, Vocabulary& vocabulary) {
  constexpr std::string_view kKey = "tokenizer.ggml.suppress_tokens";
  if (metadata.contains(kKey)) {
    for (int64_t id : TRY(metadata.get_int_array(kKey))) {
      if (id < 0 || id >= vocabulary.size()) return invalid_format("{}: {} is no token id", kKey, id);
      add_unique(vocabulary.suppressed, static_cast<int32_t>(id));
    }
  }
  if (is_gemma(vocabulary)) {
    for (std::string_view text : kGemmaMedia) add_unique(vocabulary.suppressed, index.find(text).value_or(-1));
  }
  return {};
}

Status read_sampling(const gguf::Metadata& metadata, Vocabulary& vocabulary) {
  text::SamplingDefaults& sampling = vocabulary.sampling;
  if (is_gemma(vocabulary)) {  // what Google publishes for the whole family
    sampling.temperature = 1.0f;
    sampling.top_k = 64;
    sampling.top_p = 0.95f;
  }
  const std::pair<std::string_view, std::optional<float>*> hints[] = {
      {"general.sampling.temp", &sampling.temperature},
      {"general.sampling.top_p", &sampling.top_p},
      {"general.sampling.min_p", &sampling.min_p},
      {"general.sampling.penalty_repeat", &sampling.repetition_penalty}};
  for (const auto& [key, value] : hints) {
    if (metadata.contains(key)) *value = TRY(metadata.get_f32(key));
  }
  if (metadata.contains("general.sampling.top_k")) {
    const int64_t top_k = TRY(metadata.get_i64("general.sampling.top_k"));
    sampling.top_k = static_cast<int32_t>(std::clamp<int64_t>(top_k, 0, std::numeric_limits<int32_t>::max()));
  }
  return {};
}

Result<Vocabulary> read_vocabulary(const gguf::Metadata& metadata) {
  Vocabulary vocabulary;
  vocabulary.model = TRY(metadata.get_string("tokenizer.ggml.model"));
  if (vocabulary.model != "gemma4" && vocabulary.model != "llama" && vocabulary.model != "gpt2") {
    return not_implemented("tokenizer.ggml.model \"{}\"; supported: gemma4, llama, gpt2", vocabulary.model);
  }
  vocabulary.pre = TRY(metadata.get_string("tokenizer.ggml.pre", ""));
  vocabulary.chat_template = TRY(metadata.get_string("tokenizer.chat_template", ""));
  const auto tokens = TRY(metadata.get_string_array("tokenizer.ggml.tokens"));
  vocabulary.tokens.assign(tokens.begin(), tokens.end());

  TokenIndex index(vocabulary.tokens);
  for (int32_t id = 0; id < vocabulary.size(); ++id) index.add(id);
  TRY(read_types(metadata, vocabulary));
  TRY(read_scores(metadata, vocabulary));
  TRY(read_merges(metadata, index, vocabulary));
  TRY(read_ids(metadata, index, vocabulary));
  TRY(read_flags(metadata, vocabulary));
  repair_types(metadata, index, vocabulary);
  find_stop_ids(index, vocabulary);
  TRY(read_suppressed(metadata, index, vocabulary));
  TRY(read_sampling(metadata, vocabulary));
  TRY(text::check(vocabulary));
  return vocabulary;
}

}  // namespace

Result<Vocabulary> vocabulary_from_metadata(const gguf::Metadata& metadata, const std::string& path) {
  auto vocabulary = read_vocabulary(metadata);
  if (vocabulary || vocabulary.error().message.starts_with(path)) return vocabulary;  // metadata's own errors do
  return std::move(vocabulary).error().in(path);
}

Result<Vocabulary> vocabulary_from_gguf(const gguf::File& file) {
  auto vocabulary = TRY(vocabulary_from_metadata(file.metadata(), file.path()));
  vocabulary.storage = file.keepalive();
  return vocabulary;
}

}  // namespace tessera::compile
