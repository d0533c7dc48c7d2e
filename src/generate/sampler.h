// Logits to a token. The order of the filters is llama.cpp's default:
//   suppressed ids -> repetition penalty -> top-k -> top-p -> min-p -> temperature -> draw
// top-p and min-p look at the probabilities before temperature. Temperature 0 is greedy: the largest logit, the lowest
// id among equals, and no other filter but the penalty.
//
// The draw uses a counter-based generator of our own (SplitMix64 of seed and draw number): one seed gives one text on
// every platform, up to the last bits of exp().
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"

namespace tessera::generate {

struct SamplingOptions {
  float temperature = 1.0f;         // 0: greedy
  int32_t top_k = 0;                // 0: all
  float top_p = 1.0f;               // 1: off
  float min_p = 0.0f;               // 0: off; keeps tokens with at least min_p times the best token's probability
  float repetition_penalty = 1.0f;  // 1: off; logits of repeated tokens / penalty if positive, * penalty if negative
  int32_t repetition_window = 64;   // how many last tokens count as repeated; -1: all
  uint64_t seed = 0;
};

Status check(const SamplingOptions& options);

class Sampler {
 public:
  // `suppressed`: ids never to be sampled. `options` must pass check().
  explicit Sampler(const SamplingOptions& options, std::span<const int32_t> suppressed = {});

  // Draws a token; the caller decides whether to accept() it. NaN or +inf logits are errors that name the token, and so
  // are logits that leave nothing to choose from; -inf means never.
  Result<int32_t> sample(std::span<const float> logits);

  // For who draws by these options himself: how many draws there were before this one.
  uint64_t count_draw() { return n_draws_++; }

  // Tokens that count for the repetition penalty: the prompt, then each token that was kept.
  void accept(int32_t token);

  const SamplingOptions& options() const { return options_; }
  std::span<const int32_t> suppressed() const { return suppressed_; }
  std::span<const int32_t> history() const { return history_; }  // every accepted token, oldest first

 private:
  struct Candidate {
    float logit;
    int32_t id;
  };
  static bool is_better(const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
  }
  Status adjust(std::span<const float> logits);  // to logits_: suppressed, penalized, checked
  int32_t best() const;
  void collect();     // logits_ to candidates_: all, or the top k, best first
  void keep_top_p();  // leaves them best first
  void keep_min_p();
  int32_t draw();
  double uniform();  // in [0, 1)

  SamplingOptions options_;
  std::vector<int32_t> suppressed_;
  std::vector<int32_t> history_;  // every accepted token, oldest first
  std::vector<float> logits_;
  std::vector<Candidate> candidates_;
  uint64_t n_draws_ = 0;
};

}  // namespace tessera::generate
