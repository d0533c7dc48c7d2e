#include "gguf/parallel_arrays.h"

namespace tessera::gguf {
namespace {

constexpr std::string_view kTokensKey = "tokenizer.ggml.tokens";
constexpr std::string_view kTokenArrays[] = {"tokenizer.ggml.scores", "tokenizer.ggml.token_type"};
// Behind the architecture's name; each may also be a scalar.
constexpr std::string_view kLayerArrays[] = {"feed_forward_length", "attention.head_count", "attention.head_count_kv",
                                             "attention.sliding_window_pattern"};

Status check_length(const Metadata& metadata, const std::string& source, const std::string& key, uint64_t expected,
                    std::string_view reason) {
  const Value* value = metadata.find(key);
  const Array* array = value ? value->if_array() : nullptr;
  if (!array || array->size() == expected) return {};
  return invalid_format("{}: key '{}' has {} elements, expected {} ({})", source, key, array->size(), expected, reason);
}

}  // namespace

Status check_parallel_arrays(const Metadata& metadata, const std::string& source) {
  const Value* tokens = metadata.find(kTokensKey);
  if (const Array* array = tokens ? tokens->if_array() : nullptr) {
    for (const auto key : kTokenArrays)
      TRY(check_length(metadata, source, std::string(key), array->size(), "the number of tokens"));
  }
  const Value* name = metadata.find("general.architecture");
  if (!name) return {};
  const std::string architecture(TRY(metadata.get_string("general.architecture")));
  if (!metadata.contains(architecture + ".block_count")) return {};
  const uint64_t n_layers = TRY(metadata.get_u64(architecture + ".block_count"));
  for (const auto key : kLayerArrays)
    TRY(check_length(metadata, source, fmt::format("{}.{}", architecture, key), n_layers, "block_count"));
  return {};
}

}  // namespace tessera::gguf
