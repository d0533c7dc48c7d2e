// One conversation: a position and the caches behind it. step() is not thread-safe; different sessions of one model may
// step from different threads and take turns.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "runtime/model.h"

namespace tessera::runtime {

// What a program that samples is told with each step (executorch-pte, "Exported interface").
struct TokenSampling {
  float temperature = 0;                                // 0 or less: the likeliest token
  int64_t top_k = std::numeric_limits<int64_t>::max();  // this or more than there are: all
  float top_p = 1;                                      // of the probabilities at that temperature; 1: all
  int64_t seed = 0;                                     // the same one draws the same token; its lower 32 bits count
};

class Session {
 public:
  // Errors: kOutOfMemory when the caches do not fit what the machine has left (needs X, has Y), before any work.
  static Result<std::unique_ptr<Session>> create(std::shared_ptr<const Model> model);

  // Appends `tokens` at position() and returns f32 logits (1, vocab_size) of the last one, or (n, vocab_size) when the
  // model keeps all; valid until the next step. Cut into the program's chunk; the result does not depend on the cut.
  // Errors: no tokens, an id outside the vocabulary, the context is full, a failing instruction (the session must then
  // be reset), a model that samples.
  Result<std::span<const float>> step(std::span<const int32_t> tokens);
  // The same with a model that samples: the token chosen to follow. Errors: as step; a model that does not sample.
  Result<int32_t> sample(std::span<const int32_t> tokens, const TokenSampling& sampling);

  int64_t position() const { return position_; }
  int64_t capacity() const { return model_->context_length(); }
  const Model& model() const { return *model_; }
  // Position 0 again. Caches are not cleared: nothing before a session's position is ever read from them.
  void reset() {
    position_ = 0;
    failed_ = false;
    if (cache_) cache_->clear();
  }

  // Seconds per plan step, added up over all steps since it was switched on. For `tessera bench --profile`.
  void enable_profile() { profile_.emplace(); }
  const std::vector<double>& profile() const { return *profile_; }

 private:
  Session(std::shared_ptr<const Model> model, Slots slots) : model_(std::move(model)), slots_(std::move(slots)) {}
  Status check_tokens(std::span<const int32_t> tokens) const;
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
