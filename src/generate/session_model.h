// A runtime session as the token loop sees it.
#pragma once

#include <memory>

#include "generate/token_model.h"
#include "runtime/session.h"

namespace tessera::generate {

class SessionModel final : public TokenModel {
 public:
  explicit SessionModel(std::unique_ptr<runtime::Session> session) : session_(std::move(session)) {}
  Result<std::span<const float>> step(std::span<const int32_t> tokens) override { return session_->step(tokens); }
  int64_t position() const override { return session_->position(); }
  int64_t capacity() const override { return session_->capacity(); }
  runtime::Session& session() { return *session_; }

 private:
  std::unique_ptr<runtime::Session> session_;
};

}  // namespace tessera::generate
