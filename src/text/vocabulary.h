// A tokenizer's tables as plain data, and the binary form in which they travel inside a program (named data
// kTokenizerKey). The compile half fills them from GGUF metadata; the run half only ever sees this.
//
// Merges are pairs of token ids, resolved from strings when the tables are made, so that a tokenizer starts without
// looking up a million strings.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tessera::text {

inline constexpr std::string_view kTokenizerKey = "tessera.tokenizer";

// The values are GGUF's (tokenizer.ggml.token_type).
enum class TokenType : uint8_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,      // never matched in text unless special parsing is asked for; shows as nothing
  kUserDefined = 4,  // always cut out of text verbatim; shows as its text
  kUnused = 5,
  kByte = 6,  // "<0xHH>": one raw byte
};

// tokens[left] followed by tokens[right] becomes tokens[result]. The index in Vocabulary::merges is the rank; a merge
// whose parts or result have no token keeps its rank as a hole (all ids -1).
struct Merge {
  int32_t left = -1, right = -1, result = -1;
  bool is_hole() const { return result < 0; }
  bool operator==(const Merge&) const = default;
};

// What the model's publisher suggests (general.sampling.*); absent fields leave the choice to the caller.
struct SamplingDefaults {
  std::optional<float> temperature, top_p, min_p, repetition_penalty;
  std::optional<int32_t> top_k;
  bool operator==(const SamplingDefaults&) const = default;
};

struct Vocabulary {
  std::string model;  // the algorithm: "gemma4", "llama" or "gpt2" (GGUF's names)
  std::string pre;    // the pre-tokenizer of "gpt2"; empty for the others
  std::vector<std::string_view> tokens;
  std::vector<TokenType> types;  // one per token
  std::vector<float> scores;     // one per token for "llama", else empty
  std::vector<Merge> merges;     // by rank for "gemma4" and "gpt2", else empty

  // -1: the vocabulary has no such token.
  int32_t bos = -1, eos = -1, eot = -1, unknown = -1, padding = -1;
  bool add_bos = false;             // prompts begin with bos
  bool add_eos = false;             // whole documents end with eos; prompts never do
  bool add_space_prefix = false;    // "llama": text is tokenized as if it began with a space
  std::vector<int32_t> stop_ids;    // any of these ends generation
  std::vector<int32_t> suppressed;  // never to be sampled
  SamplingDefaults sampling;
  std::string chat_template;  // Jinja source as published; empty if none

  // Keeps alive the bytes `tokens` point into, where somebody has to.
  std::shared_ptr<const void> storage;

  int32_t size() const { return static_cast<int32_t>(tokens.size()); }
};

// Every id in range, parallel arrays of one length, scores finite. Both decode() and Tokenizer::create() demand it.
Status check(const Vocabulary& vocabulary);

std::vector<std::byte> encode(const Vocabulary& vocabulary);

// Token texts stay views into `bytes`, which must outlive the result (or be owned by its `storage`). Any bytes are
// safe: damage is an error or a vocabulary that passes check().
Result<Vocabulary> decode(std::span<const std::byte> bytes);

}  // namespace tessera::text
