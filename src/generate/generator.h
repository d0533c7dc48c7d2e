// The token loop: prefill the prompt, then sample, stop or emit, step. It knows models only as TokenModel.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "generate/sampler.h"
#include "generate/token_model.h"
#include "text/tokenizer.h"

namespace tessera::generate {

enum class StopReason {
  kStopToken,   // the model ended its turn
  kStopString,  // one of the caller's strings
  kMaxTokens,
  kContextFull,
  kCancelled,  // the callback said so
};
std::string_view name_of(StopReason reason);

struct GenerateOptions {
  int64_t max_tokens = -1;  // -1: until the context is full
  SamplingOptions sampling;
  std::vector<std::string> stop_strings;
  bool stop_at_stop_tokens = true;  // false: stop ids are ordinary tokens (benchmarks, raw continuation)
  bool show_special = false;
};

struct Generation {
  std::vector<int32_t> tokens;  // sampled, without the stop token
  std::string text;             // what the callback was given, in one piece
  StopReason reason = StopReason::kMaxTokens;
  int32_t stop_token = -1;  // the one that ended it, for kStopToken
  int64_t n_prompt = 0;
  double prefill_s = 0;  // until the first token
  double decode_s = 0;   // everything after
  double prefill_tokens_per_s() const { return prefill_s > 0 ? static_cast<double>(n_prompt) / prefill_s : 0; }
  // Steps after the prefill; the first token costs none.
  double decode_tokens_per_s() const { return decode_s > 0 ? static_cast<double>(n_steps) / decode_s : 0; }
  int64_t n_steps = 0;
};

// Receives each piece of text as it becomes whole characters; returns false to end the generation.
using TextCallback = std::function<bool(std::string_view piece)>;

// Continues the model's context with `prompt` (at least one token). On return the context holds the prompt and the
// tokens, except the last one that was sampled (kept or stop token): nobody has asked what follows it yet. Who goes on
// talking feeds it first.
Result<Generation> generate(TokenModel& model, const text::Tokenizer& tokenizer, std::span<const int32_t> prompt,
                            const GenerateOptions& options, const TextCallback& on_text = {});

}  // namespace tessera::generate
