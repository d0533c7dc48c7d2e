// One conversation on a GPU: caches, activations, the position and the logits live there; token ids go in and come
// back, or logits where they are asked for. A decode step, with the choice of the token that follows, is recorded once
// and replayed. Not thread-safe; sessions of one model take turns.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/device/device_sampler.h"
#include "runtime/device/lowering.h"
#include "runtime/step_session.h"

namespace tessera::runtime {

class DeviceSession final : public StepSession {
 public:
  // Errors: kOutOfMemory when caches and activations do not fit what the card has free (says what they need).
  static Result<std::unique_ptr<DeviceSession>> create(std::shared_ptr<const DeviceModel> model);
  ~DeviceSession() override;

  Result<std::span<const float>> step(std::span<const int32_t> tokens) override;
  // Error: no program that samples inside has kernels for it.
  Result<int32_t> sample(std::span<const int32_t> tokens, const TokenSampling& sampling) override;
  // Only the token comes back.
  bool draws() const override { return true; }
  Result<int32_t> draw(std::span<const int32_t> tokens, const TokenRules& rules) override;
  // draw() with temperature 0: the token with the largest logit, the lowest id of equals.
  Result<int32_t> step_greedy(std::span<const int32_t> tokens) { return draw(tokens, {}); }
  // n_steps greedy steps, each fed the token of the one before, the first `token`. Nothing waits for the host between
  // them. Returns the n_steps tokens chosen, of which the last was not fed.
  Result<std::vector<int32_t>> continue_greedy(int32_t token, int64_t n_steps);

  const Model& model() const override { return model_->model(); }
  int64_t position() const override { return position_; }
  int64_t capacity() const override { return model_->model().context_length(); }
  void reset() override;

  // Seconds on the device of one step of `tokens` ("step"), and by kind of launch how much sooner it would end without
  // those: launches overlap, so these are what can be gained, and their sum is not the step's time. Appends to the
  // context like step().
  Result<std::map<std::string, double>> profile(std::span<const int32_t> tokens);

 private:
  Result<double> time_without(const DeviceStep& step, std::string_view kind);
  // What a step does with its logits.
  enum class End { kLogits, kGreedy, kDraw };
  static constexpr size_t kEnds = 3;
  struct Recorded {
    bool has_run = false;  // the first run is not recorded: it loads the kernels
    kernels::cuda::Graph* graph = nullptr;
  };

  explicit DeviceSession(std::shared_ptr<const DeviceModel> model) : model_(std::move(model)) {}
  // All chunks of `tokens`, the last one to `end`; after_chunk(logits, is_last) is called after each.
  template <typename F>
  Status run(std::span<const int32_t> tokens, End end, const F& after_chunk);
  Status upload_position();
  Status start_chunk(std::span<const int32_t> tokens);
  Result<const DeviceStep*> lowered(int64_t n_tokens);
  Status launch_all(const DeviceStep& step, End end);
  Result<DeviceRows> run_chunk(std::span<const int32_t> tokens, End end);
  Status run_decode(const DeviceStep& step, End end);
  Status check(std::span<const int32_t> tokens) const;  // may they be given now?
  int64_t chunk() const { return model_->model().max_tokens_per_step(); }
  kernels::cuda::Gpu& gpu() const { return model_->gpu(); }

  std::shared_ptr<const DeviceModel> model_;
  SessionMemory memory_;
  std::optional<DeviceSampler> sampler_;
  std::map<int64_t, DeviceStep> steps_;  // by tokens: of one, of a whole chunk, and the last of any other number
  std::array<Recorded, kEnds> decode_;   // by End
  std::optional<int32_t> next_input_;    // the id that lies where the next step reads it, if known
  int64_t position_ = 0;
  bool failed_ = false;
  std::vector<float> logits_;
};

// Notes what a session of `model` needs, whose weights need not be there yet. Errors: a step without a kernel.
Status note_session(const DeviceModel& model, SessionMemory& memory);

// What the card's memory delivers to a kernel that only reads: the limit a decode step is measured by.
Result<double> read_gb_s(kernels::cuda::Gpu& gpu);

}  // namespace tessera::runtime
