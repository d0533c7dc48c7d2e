// The choice of the next token on the device, as part of a session: its rules, suppressed ids and history lie there,
// and change there with each token. The host keeps a copy of what the device knows, so that only news is uploaded.
#pragma once

#include <optional>
#include <vector>

#include "runtime/device/device_memory.h"
#include "runtime/device/lowering.h"
#include "runtime/token_rules.h"

namespace tessera::runtime {

class DeviceSampler {
 public:
  static void note_sizes(const Model& model, SessionMemory& memory);
  // `memory`, allocated with those sizes, and `gpu` must outlive it.
  DeviceSampler(kernels::cuda::Gpu& gpu, SessionMemory& memory, const Model& model);
  Status init();  // once, before anything else

  // Before a step: brings the device's rules up to date. Suppressed ids outside the vocabulary are left out.
  Status follow(const TokenRules& rules);
  // Enqueues the choice among the last row of `logits`; `token` receives it, on the device.
  Status choose(const DeviceRows& logits, kernels::cuda::Address token, bool is_greedy);
  // Waits for a choice: the token. Errors: bad_logit, no_finite_logit.
  Result<int32_t> fetch(const DeviceRows& logits, kernels::cuda::Address token);
  // Waits for the last `n` choices, which were made one after the other without fetch().
  Result<std::vector<int32_t>> fetch_last(int64_t n, const DeviceRows& logits, kernels::cuda::Address token);
  // Nothing that the device knows is valid any more.
  void forget() { known_.reset(); }

 private:
  Status upload_history(std::span<const int32_t> history);
  void count(int32_t token);  // what choose() changed on the device

  kernels::cuda::Gpu& gpu_;
  SessionMemory& memory_;
  int32_t n_logits_, history_size_;
  std::optional<kernels::cuda::SamplingRules> known_;  // as on the device
  std::vector<int32_t> suppressed_, history_;
};

}  // namespace tessera::runtime
