// A made-up vocabulary in the form of Gemma 4's tokenizer: the real special tokens and bytes at their real ids,
// printable characters, then words that merges build up from letters. Every text can be tokenized.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tessera::compile {

struct SynthVocabulary {
  std::vector<std::string> tokens;
  std::vector<int32_t> types;       // as in `tokenizer.ggml.token_type`
  std::vector<std::string> merges;  // "left right", best first
};

inline constexpr int64_t kMinSynthVocab = 512;  // 256 bytes, the special tokens, printable ASCII, some merges

// `size` >= kMinSynthVocab; special tokens whose ids are not below it are left out.
SynthVocabulary make_vocabulary(int64_t size);

}  // namespace tessera::compile
