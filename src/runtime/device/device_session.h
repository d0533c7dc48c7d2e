// One conversation on a GPU: caches, activations and the position live there; only token ids go in and logits, or the
// greedy token, come back. A decode step is recorded once and replayed. step() is not thread-safe; sessions of one
// model take turns.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/device/lowering.h"
#include "runtime/step_session.h"

namespace tessera::runtime {

class DeviceSession final : public StepSession {
 public:
  // Errors: kOutOfMemory when caches and activations do not fit what the card has free (needs X, has Y).
  static Result<std::unique_ptr<DeviceSession>> create(std::shared_ptr<const DeviceModel> model);
  ~DeviceSession() override;

  Result<std::span<const float>> step(std::span<const int32_t> tokens) override;
  // Error: no program that samples inside has kernels for it.
  Result<int32_t> sample(std::span<const int32_t> tokens, const TokenSampling& sampling) override;
  // As step(), but only the token with the largest logit comes back, the lowest id of equals.
  Result<int32_t> step_greedy(std::span<const int32_t> tokens);

  const Model& model() const override { return model_->model(); }
  int64_t position() const override { return position_; }
  int64_t capacity() const override { return model_->model().context_length(); }
  void reset() override;

  // Seconds on the device of one step of `tokens`, by kind of plan step, each launch timed by itself: their sum is more
  // than the step takes. Appends to the context like step().
  Result<std::map<std::string, double>> profile(std::span<const int32_t> tokens);

 private:
  explicit DeviceSession(std::shared_ptr<const DeviceModel> model) : model_(std::move(model)) {}
  // All chunks of `tokens`; after_chunk(logits) is called after each.
  template <typename F>
  Status run(std::span<const int32_t> tokens, const F& after_chunk);
  Status start_chunk(std::span<const int32_t> tokens);
  Result<DeviceRows> run_chunk(std::span<const int32_t> tokens);
  Result<DeviceRows> run_decode();
  int64_t chunk() const { return model_->model().max_tokens_per_step(); }
  kernels::cuda::Gpu& gpu() const { return model_->gpu(); }

  std::shared_ptr<const DeviceModel> model_;
  SessionMemory memory_;
  std::optional<DeviceStep> decode_;       // of one token
  kernels::cuda::Graph* graph_ = nullptr;  // the same, recorded at its second run
  bool has_decoded_ = false;
  int64_t position_ = 0;
  bool failed_ = false;
  std::vector<float> logits_;
};

// What the card's memory delivers to a kernel that only reads: the limit a decode step is measured by.
Result<double> read_gb_s(kernels::cuda::Gpu& gpu);

}  // namespace tessera::runtime
