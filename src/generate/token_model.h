// What the token loop needs of a model: feed it tokens, get logits. The run time's session is one; tests have others.
#pragma once

#include <cstdint>
#include <span>

#include "base/result.h"

namespace tessera::generate {

class TokenModel {
 public:
  virtual ~TokenModel() = default;
  // Appends `tokens` (at least one) to the context and returns the logits after the last of them, (vocab_size). The
  // span is valid until the next call. Any number of tokens: the model cuts a prompt into the chunks it likes.
  virtual Result<std::span<const float>> step(std::span<const int32_t> tokens) = 0;
  virtual int64_t position() const = 0;  // tokens in the context
  virtual int64_t capacity() const = 0;  // tokens the context can hold
};

}  // namespace tessera::generate
