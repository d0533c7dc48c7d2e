#include "generate/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "runtime/token_rules.h"

namespace tessera::generate {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

// SplitMix64 (Steele, Lea, Flood 2014): output number `n` of the stream `seed`.
uint64_t random_bits(uint64_t seed, uint64_t n) {
  uint64_t z = seed + (n + 1) * 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

}  // namespace

Status check(const SamplingOptions& options) {
  const auto demand = [](bool holds, std::string_view what, double value) -> Status {
    if (holds) return {};
    return invalid_argument("sampling: {}, got {}", what, value);
  };
  TRY(demand(options.temperature >= 0 && std::isfinite(options.temperature), "temperature must be 0 or more",
             options.temperature));
  TRY(demand(options.top_k >= 0, "top-k must be 0 or more", options.top_k));
  TRY(demand(options.top_p > 0 && options.top_p <= 1, "top-p must be in (0, 1]", options.top_p));
  TRY(demand(options.min_p >= 0 && options.min_p <= 1, "min-p must be in [0, 1]", options.min_p));
  TRY(demand(options.repetition_penalty > 0 && std::isfinite(options.repetition_penalty),
             "the repetition penalty must be more than 0", options.repetition_penalty));
  return demand(options.repetition_window >= -1, "the repetition window must be -1 or more", options.repetition_window);
}

Sampler::Sampler(const SamplingOptions& options, std::span<const int32_t> suppressed)
    : options_(options), suppressed_(suppressed.begin(), suppressed.end()) {
  CHECK(check(options).has_value());
}

void Sampler::accept(int32_t token) { history_.push_back(token); }

Result<int32_t> Sampler::sample(std::span<const float> logits) {
  TRY(adjust(logits));
  if (options_.temperature == 0) return best();
  collect();
  if (options_.top_p < 1) keep_top_p();
  if (options_.min_p > 0) keep_min_p();
  return draw();
}

Status Sampler::adjust(std::span<const float> logits) {
  logits_.assign(logits.begin(), logits.end());
  const auto is_known = [&](int32_t id) { return id >= 0 && static_cast<size_t>(id) < logits_.size(); };
  for (int32_t id : suppressed_)
    if (is_known(id)) logits_[static_cast<size_t>(id)] = kNever;
  if (options_.repetition_penalty != 1) {
    const size_t window =
        options_.repetition_window < 0 ? history_.size() : static_cast<size_t>(options_.repetition_window);
    for (size_t i = history_.size() - std::min(window, history_.size()); i < history_.size(); ++i) {
      if (!is_known(history_[i])) continue;
      // From the given logit, so that a token that occurs twice is penalized once.
      const float given = logits[static_cast<size_t>(history_[i])];
      float& adjusted = logits_[static_cast<size_t>(history_[i])];
      if (adjusted != kNever)
        adjusted = given > 0 ? given / options_.repetition_penalty : given * options_.repetition_penalty;
    }
  }
  // No branches in the loop over all logits, so that it is vectorized; which one is bad is asked only if one is.
  const auto is_bad = [](float logit) { return !(logit <= std::numeric_limits<float>::max()); };
  uint32_t has_bad = 0, has_choice = 0;
  for (float logit : logits_) {
    has_bad |= is_bad(logit);
    has_choice |= logit != kNever;
  }
  if (has_bad) {
    const auto bad = std::find_if(logits_.begin(), logits_.end(), is_bad);
    return runtime::bad_logit(bad - logits_.begin(), *bad);
  }
  if (has_choice) return {};
  return runtime::no_finite_logit(std::ssize(logits_));
}

int32_t Sampler::best() const {
  return static_cast<int32_t>(std::max_element(logits_.begin(), logits_.end()) - logits_.begin());
}

// For a small k one pass over the logits with a heap of the k best so far: sorting 262144 logits takes 21 ms, a draw
// with top-k 64 a fiftieth of it.
void Sampler::collect() {
  const size_t k = options_.top_k > 0 ? static_cast<size_t>(options_.top_k) : logits_.size();
  const bool is_limited = k < logits_.size();
  candidates_.clear();
  for (size_t id = 0; id < logits_.size(); ++id) {
    const Candidate candidate{logits_[id], static_cast<int32_t>(id)};
    if (candidate.logit == kNever) continue;
    if (candidates_.size() < k) {
      candidates_.push_back(candidate);
      if (is_limited) std::push_heap(candidates_.begin(), candidates_.end(), is_better);
    } else if (candidate.logit > candidates_.front().logit) {  // the front is the worst kept; of equals the first stays
      std::pop_heap(candidates_.begin(), candidates_.end(), is_better);
      candidates_.back() = candidate;
      std::push_heap(candidates_.begin(), candidates_.end(), is_better);
    }
  }
  if (is_limited) std::sort_heap(candidates_.begin(), candidates_.end(), is_better);
}

// The fewest best tokens that hold `top_p` of the probability. Candidates leave a heap best first, so that only the
// kept ones are ever put in order.
void Sampler::keep_top_p() {
  const auto is_worse = [](const Candidate& a, const Candidate& b) { return is_better(b, a); };
  std::make_heap(candidates_.begin(), candidates_.end(), is_worse);
  const double best = candidates_.front().logit;
  const auto weight = [best](const Candidate& candidate) { return std::exp(candidate.logit - best); };
  double total = 0;
  for (const Candidate& candidate : candidates_) total += weight(candidate);
  double kept = 0;
  auto end = candidates_.end();  // of the heap; the best ones gather behind it, backwards
  while (end != candidates_.begin() && kept < options_.top_p * total) {
    kept += weight(candidates_.front());
    std::pop_heap(candidates_.begin(), end--, is_worse);
  }
  candidates_.erase(candidates_.begin(), end);
  std::reverse(candidates_.begin(), candidates_.end());
}

void Sampler::keep_min_p() {
  const auto best = std::min_element(candidates_.begin(), candidates_.end(), is_better);  // sorts first: best
  const double least = best->logit + std::log(static_cast<double>(options_.min_p));
  std::erase_if(candidates_, [least](const Candidate& candidate) { return candidate.logit < least; });
}

int32_t Sampler::draw() {
  double best = candidates_.front().logit;
  for (const Candidate& candidate : candidates_) best = std::max(best, static_cast<double>(candidate.logit));
  const auto weight = [&](const Candidate& candidate) {
    return std::exp((candidate.logit - best) / options_.temperature);
  };
  double total = 0;
  for (const Candidate& candidate : candidates_) total += weight(candidate);
  double left = uniform() * total;
  for (const Candidate& candidate : candidates_) {
    left -= weight(candidate);
    if (left < 0) return candidate.id;
  }
  return std::min_element(candidates_.begin(), candidates_.end(), is_better)->id;  // rounding used up the total
}

double Sampler::uniform() { return static_cast<double>(random_bits(options_.seed, n_draws_++) >> 11) * 0x1p-53; }

}  // namespace tessera::generate
