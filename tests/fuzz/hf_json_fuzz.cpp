// Any text as a Hugging Face config.json and tokenizer.json: an error, or metadata that hangs together.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "models/hf_config.h"

namespace {

using namespace tessera;

void check_tokenizer(std::string_view text) {
  gguf::Metadata metadata("fuzz");
  if (!models::parse_hf_tokenizer(text, "fuzz", metadata)) return;
  const auto* tokens = metadata.find("tokenizer.ggml.tokens");
  const auto* types = metadata.find("tokenizer.ggml.token_type");
  CHECK(tokens && types && tokens->if_array()->size() == types->if_array()->size());
  CHECK(metadata.find("tokenizer.ggml.merges"));
}

void check_config(std::string_view text) {
  gguf::Metadata metadata("fuzz");
  if (!models::parse_hf_config(text, "fuzz", metadata)) return;
  CHECK(metadata.find("gemma4.block_count") && metadata.find("gemma4.attention.head_count_kv"));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check_tokenizer(text);
  check_config(text);
  return 0;
}
