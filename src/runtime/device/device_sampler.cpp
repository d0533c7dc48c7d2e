#include "runtime/device/device_sampler.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace tessera::runtime {
namespace {

using namespace kernels::cuda;
using Use = SessionMemory::Use;

// All that a context can hold, and the token after it.
int32_t history_size_of(const Model& model) { return static_cast<int32_t>(model.context_length() + 1); }

SamplingRules on_device(const TokenRules& rules, size_t n_suppressed, size_t n_history) {
  return {.temperature = rules.temperature,
          .top_p = rules.top_p,
          .repetition_penalty = rules.repetition_penalty,
          .top_k = rules.top_k,
          .log_min_p = std::log(static_cast<double>(rules.min_p)),
          .seed = rules.seed,
          .n_draws = rules.n_draws,
          .n_suppressed = static_cast<int32_t>(n_suppressed),
          .window = rules.repetition_window,
          .n_history = static_cast<int64_t>(n_history)};
}

bool operator==(const SamplingRules& a, const SamplingRules& b) {
  return a.temperature == b.temperature && a.top_p == b.top_p && a.repetition_penalty == b.repetition_penalty &&
         a.top_k == b.top_k && a.log_min_p == b.log_min_p && a.seed == b.seed && a.n_draws == b.n_draws &&
         a.n_suppressed == b.n_suppressed && a.window == b.window && a.n_history == b.n_history;
}

}  // namespace

void DeviceSampler::note_sizes(const Model& model, SessionMemory& memory) {
  memory.get(Use::kRules, 0, sizeof(SamplingRules));
  memory.get(Use::kSuppressed, 0, static_cast<uint64_t>(model.vocab_size()) * sizeof(int32_t));
  memory.get(Use::kHistory, 0, static_cast<uint64_t>(history_size_of(model)) * sizeof(int32_t));
  memory.get(Use::kSampling, 0, sampling_scratch_bytes(static_cast<int32_t>(model.vocab_size())));
}

DeviceSampler::DeviceSampler(Gpu& gpu, SessionMemory& memory, const Model& model)
    : gpu_(gpu),
      memory_(memory),
      n_logits_(static_cast<int32_t>(model.vocab_size())),
      history_size_(history_size_of(model)) {}

Status DeviceSampler::init() {
  return gpu_.upload(memory_.get(Use::kSampling, 0, kSamplingCounters),
                     bytes_of(std::array<std::byte, kSamplingCounters>{}));
}

// The ring as the device would have filled it.
Status DeviceSampler::upload_history(std::span<const int32_t> history) {
  const auto size = static_cast<size_t>(history_size_);
  std::vector<int32_t> ring(std::min(history.size(), size));
  for (size_t i = history.size() - ring.size(); i < history.size(); ++i) ring[i % size] = history[i];
  history_.assign(history.begin(), history.end());
  return gpu_.upload(memory_.get(Use::kHistory, 0, 0), std::as_bytes(std::span(ring)));
}

Status DeviceSampler::follow(const TokenRules& rules) {
  std::vector<int32_t> suppressed;
  std::copy_if(rules.suppressed.begin(), rules.suppressed.end(), std::back_inserter(suppressed),
               [&](int32_t id) { return id >= 0 && id < n_logits_; });
  if (std::ssize(suppressed) > n_logits_) return invalid_argument("sampling: more suppressed tokens than there are");
  if (!known_ || suppressed != suppressed_) {
    TRY(gpu_.upload(memory_.get(Use::kSuppressed, 0, 0), std::as_bytes(std::span(suppressed))));
    suppressed_ = std::move(suppressed);
  }
  // Without a penalty the device may go on with a history of its own: nobody reads it.
  const bool is_read = rules.repetition_penalty != 1 && rules.repetition_window != 0;
  if (!known_ || (is_read && !std::ranges::equal(rules.history, history_))) TRY(upload_history(rules.history));
  const SamplingRules wanted = on_device(rules, suppressed_.size(), history_.size());
  if (known_ && *known_ == wanted) return {};
  TRY(gpu_.upload(memory_.get(Use::kRules, 0, sizeof(wanted)), bytes_of(wanted)));
  known_ = wanted;
  return {};
}

Status DeviceSampler::choose(const DeviceRows& logits, Address token, bool is_greedy) {
  return gpu_.run(&Api::sample, SampleArgs{.logits = logits.last_row(),
                                           .rules = memory_.get(Use::kRules, 0, 0),
                                           .suppressed = memory_.get(Use::kSuppressed, 0, 0),
                                           .history = memory_.get(Use::kHistory, 0, 0),
                                           .scratch = memory_.get(Use::kSampling, 0, 0),
                                           .token = token,
                                           .n = n_logits_,
                                           .history_size = history_size_,
                                           .is_greedy = is_greedy});
}

void DeviceSampler::count(int32_t token) {
  history_.push_back(token);
  ++known_->n_history;
  if (known_->temperature != 0) ++known_->n_draws;
}

Result<int32_t> DeviceSampler::fetch(const DeviceRows& logits, Address token) {
  int32_t chosen = kNoFiniteLogit;
  TRY(gpu_.download(std::as_writable_bytes(std::span(&chosen, 1)), token));
  if (chosen >= 0) {
    count(chosen);
    return chosen;
  }
  forget();
  if (chosen == kNoFiniteLogit) return no_finite_logit(n_logits_);
  const int32_t bad = kBadLogit - chosen;
  float logit = 0;
  TRY(gpu_.download(std::as_writable_bytes(std::span(&logit, 1)),
                    logits.last_row() + static_cast<uint64_t>(bad) * sizeof(float)));
  return bad_logit(bad, logit);
}

Result<std::vector<int32_t>> DeviceSampler::fetch_last(int64_t n, const DeviceRows& logits, Address token) {
  TRY(fetch(logits, token));  // once a logit is bad, those of every later step are
  std::vector<int32_t> ring(static_cast<size_t>(history_size_)), out;
  TRY(gpu_.download(std::as_writable_bytes(std::span(ring)), memory_.get(Use::kHistory, 0, 0)));
  for (int64_t i = known_->n_history - 1; i < known_->n_history - 1 + n; ++i)
    out.push_back(ring[static_cast<size_t>(i % history_size_)]);
  history_.pop_back();
  --known_->n_history;
  for (int32_t chosen : out) count(chosen);
  return out;
}

}  // namespace tessera::runtime
