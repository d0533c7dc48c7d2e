// What the three launches of sampling.cuh share: the scratch between them, the order and the weights of tokens, and how
// the choice is written down.
#pragma once

#include <cfloat>

#include "kernels/cuda/selection.cuh"

namespace tessera::kernels::cuda {

inline constexpr int kSortedInShared = 4096, kLogitsPerThread = kLogitsPerBlock / kSelectThreads;
inline constexpr int kSelectBytes = 256, kMarkWords = kLogitsPerBlock / 32;
static_assert(sizeof(SelectScratch) <= kSelectBytes);

enum class Choice : int32_t { kMade, kInOrder, kSorted };
// What one launch leaves to the next.
struct SamplingState {
  Choice choice;
  float best, span;  // the largest logit; bins reach from it to best - span
  int32_t best_id;
  int32_t cut, k_bin;    // bins up to `cut`, and the one in which top-k ends (-1: none), are listed
  uint64_t n_first;      // of the sorted list: those the choice is among, if top-p and min-p keep them
  uint64_t k_first;      // where in the list the tokens of k_bin begin
  uint64_t k_left;       // how many of them top-k keeps
  uint64_t weight_left;  // of all that top-k keeps but those
};
struct BlockResult {
  uint64_t best;  // key of the best logit; in `measure`: the block's weight
  uint32_t least, first_bad;
};

// The scratch of SampleArgs.
struct SamplingScratch {
  Global<uint32_t> counters;  // of the blocks that are through, one a launch; then the length of the list
  Global<SamplingState> state;
  Global<uint64_t> counts, weights;  // of the bins
  Global<BlockResult> blocks;
  Global<float> adjusted;
  Global<uint64_t> list;
};
TESSERA_DEVICE SamplingScratch scratch_of(const SampleArgs& a) {
  static_assert(kSamplingCounters + sizeof(SamplingState) <= 128);
  const Address bins = a.scratch + 128, blocks = bins + uint64_t{kSamplingBins} * 16;
  const Address list = blocks + static_cast<uint64_t>(n_blocks_x()) * sizeof(BlockResult);
  return {global<uint32_t>(a.scratch), global<SamplingState>(a.scratch + kSamplingCounters),
          global<uint64_t>(bins),      global<uint64_t>(bins) + kSamplingBins,
          global<BlockResult>(blocks), global<float>(list + sampling_list_size(a.n) * sizeof(uint64_t)),
          global<uint64_t>(list)};
}

// Numbers that sort as logits do, the larger logit first, of equals the lower id.
TESSERA_DEVICE uint32_t descending(float logit) {
  const uint32_t bits = bits_of_float(logit);
  return (bits >> 31) != 0 ? bits : ~(bits | 0x80000000u);
}
TESSERA_DEVICE float logit_of(uint32_t order) {
  return float_of_bits((order >> 31) != 0 ? order : ~order & 0x7fffffffu);
}
TESSERA_DEVICE uint64_t key_of(float logit, int id) {
  return uint64_t{descending(logit)} << 32 | static_cast<uint32_t>(id);
}
TESSERA_DEVICE float logit_of_key(uint64_t key) { return logit_of(static_cast<uint32_t>(key >> 32)); }

TESSERA_DEVICE uint64_t weight_of(float logit, float best, float temperature) {
  constexpr float kOne = 1099511627776.0f;  // 2^40
  return static_cast<uint64_t>(exact_exp_of((logit - best) / temperature) * kOne);
}
// This thread's logits of the block, all on their way at once; -infinity past the end.
TESSERA_DEVICE int id_of(int j) { return block_x() * kLogitsPerBlock + j * kSelectThreads + thread(); }
TESSERA_DEVICE void load_logits(Global<const float> logits, int n, float (&out)[kLogitsPerThread]) {
  TESSERA_UNROLL
  for (int j = 0; j < kLogitsPerThread; ++j) out[j] = id_of(j) < n ? logits[id_of(j)] : -INFINITY;
}
// -1: too far from the best to weigh anything.
TESSERA_DEVICE int bin_of(float logit, const SamplingState& state) {
  const float distance = state.best - logit;
  if (!(distance <= state.span)) return -1;
  if (state.span == 0) return 0;
  return min_of(static_cast<int>(distance / state.span * kSamplingBins), kSamplingBins - 1);
}
TESSERA_DEVICE bool passes_min_p(float logit, const SamplingState& state, const SamplingRules& rules) {
  return static_cast<double>(logit) >= static_cast<double>(state.best) + rules.log_min_p;
}

// SplitMix64, as in generate/sampler.cpp: a number in [0, 1).
TESSERA_DEVICE double uniform(const SamplingRules& rules) {
  uint64_t z = rules.seed + (rules.n_draws + 1) * 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

// One thread: the token, and what it changes for the next one.
TESSERA_DEVICE void choose(const SampleArgs& a, SamplingRules rules, int32_t token) {
  global<int32_t>(a.token)[0] = token;
  if (token < 0) return;
  if (a.history_size > 0) global<int32_t>(a.history)[rules.n_history % a.history_size] = token;
  ++rules.n_history;
  rules.n_draws += rules.temperature != 0 ? 1 : 0;
  global<SamplingRules>(a.rules)[0] = rules;
}

}  // namespace tessera::kernels::cuda
