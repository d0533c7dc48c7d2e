// What the token loop needs of a model: feed it tokens, get the one that follows. The run time's session is one; tests
// have others.
#pragma once

#include <cstdint>
#include <span>

#include "base/result.h"
#include "generate/sampler.h"

namespace tessera::generate {

class TokenModel {
 public:
  virtual ~TokenModel() = default;
  // Appends `tokens` (at least one) to the context and returns the logits after the last of them, (vocab_size). The
  // span is valid until the next call. Any number of tokens: the model cuts a prompt into the chunks it likes.
  virtual Result<std::span<const float>> step(std::span<const int32_t> tokens) = 0;
  // The same, and the token that `sampler` draws then. Models that give tokens, not logits, draw by its options.
  virtual Result<int32_t> next(std::span<const int32_t> tokens, Sampler& sampler) {
    return sampler.sample(TRY(step(tokens)));
  }
  virtual int64_t position() const = 0;  // tokens in the context
  virtual int64_t capacity() const = 0;  // tokens the context can hold
};

}  // namespace tessera::generate
