// A runtime session as the token loop sees it.
#pragma once

#include <memory>

#include "generate/token_model.h"
#include "runtime/step_session.h"

namespace tessera::generate {

class SessionModel final : public TokenModel {
 public:
  explicit SessionModel(std::unique_ptr<runtime::StepSession> session) : session_(std::move(session)) {}
  Result<std::span<const float>> step(std::span<const int32_t> tokens) override { return session_->step(tokens); }
  // A session on a device draws there, by all of the sampler's rules. A program that samples knows temperature, top-k,
  // top-p (after the temperature) and a seed, which counts up with each draw. Errors: options it does not know.
  Result<int32_t> next(std::span<const int32_t> tokens, Sampler& sampler) override;
  int64_t position() const override { return session_->position(); }
  int64_t capacity() const override { return session_->capacity(); }
  runtime::StepSession& session() { return *session_; }

 private:
  std::unique_ptr<runtime::StepSession> session_;
};

}  // namespace tessera::generate
