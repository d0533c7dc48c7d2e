// How a session that holds its logits on a device chooses a token there. The meaning is generate/sampler.h's, whose
// Sampler does the same with logits that came to the host.
#pragma once

#include <cstdint>
#include <span>

#include "base/result.h"

namespace tessera::runtime {

struct TokenRules {
  float temperature = 0;  // 0: greedy
  int32_t top_k = 0;
  float top_p = 1, min_p = 0, repetition_penalty = 1;
  int32_t repetition_window = 64;
  uint64_t seed = 0, n_draws = 0;                // n_draws: how many draws there were before this one
  std::span<const int32_t> suppressed, history;  // history: every token so far, oldest first
};

// What both say when there is nothing to choose.
inline Error bad_logit(int64_t token, float logit) {
  return make_error(ErrorCode::kInternal, "sampling: the logit of token {} is {}; the model's arithmetic broke down",
                    token, logit);
}
inline Error no_finite_logit(int64_t n) {
  return make_error(ErrorCode::kInternal, "sampling: none of the {} logits is finite", n);
}

}  // namespace tessera::runtime
