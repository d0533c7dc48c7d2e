// One conversation: a position and the caches behind it. step() is not thread-safe; different sessions of one model may
// step from different threads and take turns.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "runtime/model.h"
#include "runtime/step_session.h"

namespace tessera::runtime {

class Session final : public StepSession {
 public:
  // Errors: kOutOfMemory when the caches do not fit what the machine has left (needs X, has Y), before any work.
  static Result<std::unique_ptr<Session>> create(std::shared_ptr<const Model> model);

  // The result does not depend on how the tokens are cut. Error: a model that samples.
  Result<std::span<const float>> step(std::span<const int32_t> tokens) override;
  Result<int32_t> sample(std::span<const int32_t> tokens, const TokenSampling& sampling) override;

  int64_t position() const override { return position_; }
  int64_t capacity() const override { return model_->context_length(); }
  const Model& model() const override { return *model_; }
  void reset() override {
    position_ = 0;
    failed_ = false;
    if (cache_) cache_->clear();
  }

  // Seconds per plan step, added up over all steps since it was switched on. For `tessera bench --profile`.
  void enable_profile() { profile_.emplace(); }
  const std::vector<double>& profile() const { return *profile_; }

 private:
  Session(std::shared_ptr<const Model> model, Slots slots) : model_(std::move(model)), slots_(std::move(slots)) {}
  // `sampling`: of a model that samples, else null.
  Status advance(std::span<const int32_t> tokens, const TokenSampling* sampling);
  Status run_chunk(std::span<const int32_t> tokens, const TokenSampling* sampling);
  Status keep_token();
  Status keep_logits(const ops::Tensor& result, int64_t n_tokens);

  std::shared_ptr<const Model> model_;
  Slots slots_;
  Workspace workspace_;
  std::optional<OffGraphCache> cache_;
  int64_t position_ = 0;
  bool failed_ = false;
  std::vector<float> logits_;
  int32_t token_ = 0;  // of a model that samples
  std::optional<std::vector<double>> profile_;
};

}  // namespace tessera::runtime
