// One conversation on some device, as everything above the run time sees it.
#pragma once

#include <cstdint>
#include <limits>
#include <span>

#include "base/result.h"
#include "runtime/model.h"
#include "runtime/token_rules.h"

namespace tessera::runtime {

// What a program that samples is told with each step (executorch-pte, "Exported interface").
struct TokenSampling {
  float temperature = 0;                                // 0 or less: the likeliest token
  int64_t top_k = std::numeric_limits<int64_t>::max();  // this or more than there are: all
  float top_p = 1;                                      // of the probabilities at that temperature; 1: all
  int64_t seed = 0;                                     // the same one draws the same token; its lower 32 bits count
};

class StepSession {
 public:
  virtual ~StepSession() = default;
  // Appends `tokens` at position() and returns f32 logits (1, vocab_size) of the last one, or (n, vocab_size) when the
  // model keeps all; valid until the next step. Cut into the program's chunk.
  // Errors: no tokens, an id outside the vocabulary, the context is full, a failing instruction (the session must then
  // be reset).
  virtual Result<std::span<const float>> step(std::span<const int32_t> tokens) = 0;
  // The same with a model that samples: the token chosen to follow. Errors: as step; a model that does not sample.
  virtual Result<int32_t> sample(std::span<const int32_t> tokens, const TokenSampling& sampling) = 0;
  // Whether the session chooses tokens itself, by rules, so that logits need not leave its device: draw() is step() and
  // a choice. Errors: as step; a logit that is NaN or +infinity, no finite one; a session that does not.
  virtual bool draws() const { return false; }
  virtual Result<int32_t> draw(std::span<const int32_t> tokens, const TokenRules& rules);
  virtual const Model& model() const = 0;
  virtual int64_t position() const = 0;
  virtual int64_t capacity() const = 0;
  // Position 0 again. Caches are not cleared: nothing before a session's position is ever read from them.
  virtual void reset() = 0;
};

inline Result<int32_t> StepSession::draw(std::span<const int32_t>, const TokenRules&) {
  return not_implemented("this session gives logits, it does not draw");
}

}  // namespace tessera::runtime
