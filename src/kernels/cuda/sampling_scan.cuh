// The first launch of sampling.cuh: logits with suppressed and repeated tokens taken care of, the bad ones found, and
// the best.
#pragma once

#include "kernels/cuda/sampling_state.cuh"

namespace tessera::kernels::cuda {

// One bit a logit of this block: is it among the n ids at `ids`, a ring that ends before `end`?
TESSERA_DEVICE void mark(Shared<uint32_t> marks, Address ids, int64_t end, int64_t n, int64_t ring) {
  const int first = block_x() * kLogitsPerBlock;
  for (int64_t i = end - n + thread(); i < end; i += kSelectThreads) {
    const int at = global<const int32_t>(ids)[i % ring] - first;
    if (at >= 0 && at < kLogitsPerBlock) atomic_or(marks + at / 32, 1u << at % 32);
  }
}

TESSERA_DEVICE float adjusted(float logit, bool is_suppressed, bool is_repeated, float penalty) {
  if (is_suppressed) return -INFINITY;
  if (is_repeated) logit = logit > 0 ? logit / penalty : logit * penalty;
  return logit + 0.0f;  // no -0: it would sort after 0
}

// The last block: greedy, or how the draw goes on.
TESSERA_DEVICE void begin_choice(const SampleArgs& a, const SamplingRules& rules, const Select& s) {
  const SamplingScratch scratch = scratch_of(a);
  uint64_t best = ~uint64_t{0}, least = best, first_bad = best;
  for (int i = thread(); i < n_blocks_x(); i += kSelectThreads) {
    const BlockResult block = scratch.blocks[i];
    best = block.best < best ? block.best : best;
    least = block.least < least ? block.least : least;
    first_bad = block.first_bad < first_bad ? block.first_bad : first_bad;
  }
  best = block_least(best, s), least = block_least(least, s), first_bad = block_least(first_bad, s);
  if (thread() != 0) return;
  constexpr uint32_t kNone = ~0u;
  SamplingState state = {};
  state.choice = Choice::kMade;
  state.best = logit_of_key(best);
  state.best_id = static_cast<int32_t>(static_cast<uint32_t>(best));
  if (first_bad < kNone)
    choose(a, rules, kBadLogit - static_cast<int32_t>(first_bad));
  else if (state.best == -INFINITY)
    choose(a, rules, kNoFiniteLogit);
  else if (rules.temperature == 0)
    choose(a, rules, state.best_id);
  else
    state.choice = rules.top_p >= 1 && (rules.top_k == 0 || rules.top_k >= a.n) ? Choice::kInOrder : Choice::kSorted;
  constexpr float kWeighsNothing = 28.4f;  // ln 2^41, so that no bin is lost to rounding
  const float range = state.best - logit_of(~static_cast<uint32_t>(least));
  state.span = min_of(min_of(range, kWeighsNothing * max_of(1.0f, rules.temperature)), FLT_MAX);
  scratch.state[0] = state;
  scratch.counters[3] = 0;
}

TESSERA_KERNEL(kSelectThreads, 1) scan_kernel(SampleArgs a) {
  const Select s = select_scratch();
  const auto suppressed = cast<uint32_t>(shared_memory() + kSelectBytes), repeated = suppressed + kMarkWords;
  const SamplingScratch scratch = scratch_of(a);
  let_next_start();
  wait_for_previous();
  const SamplingRules rules = global<const SamplingRules>(a.rules)[0];
  float logits[kLogitsPerThread];
  load_logits(global<const float>(a.logits), a.n, logits);
  if (thread() < 2 * kMarkWords) suppressed[thread()] = 0;
  if (block_x() == 0)
    for (int i = thread(); i < 2 * kSamplingBins; i += kSelectThreads) scratch.counts[i] = 0;
  sync_block();
  mark(suppressed, a.suppressed, rules.n_suppressed, rules.n_suppressed, max_of(rules.n_suppressed, 1));
  if (rules.repetition_penalty != 1 && a.history_size > 0) {
    int64_t n = rules.window < 0 || rules.window > a.history_size ? a.history_size : rules.window;
    n = n < rules.n_history ? n : rules.n_history;
    mark(repeated, a.history, rules.n_history, n, a.history_size);
  }
  sync_block();
  uint64_t best = ~uint64_t{0}, least = best, first_bad = best;
  TESSERA_UNROLL
  for (int j = 0; j < kLogitsPerThread; ++j) {
    const int at = j * kSelectThreads + thread(), id = id_of(j);
    if (id >= a.n) break;
    const uint32_t bit = 1u << at % 32;
    const float logit =
        adjusted(logits[j], (suppressed[at / 32] & bit) != 0, (repeated[at / 32] & bit) != 0, rules.repetition_penalty);
    scratch.adjusted[id] = logit;
    const uint64_t key = key_of(logit, id), rising = ~descending(logit) & 0xffffffffu;
    best = key < best ? key : best;
    if (logit > -INFINITY && rising < least) least = rising;
    if (!(logit < INFINITY) && static_cast<uint64_t>(id) < first_bad) first_bad = static_cast<uint64_t>(id);
  }
  best = block_least(best, s), least = block_least(least, s), first_bad = block_least(first_bad, s);
  if (thread() == 0) scratch.blocks[block_x()] = {best, static_cast<uint32_t>(least), static_cast<uint32_t>(first_bad)};
  if (is_last_block(scratch.counters, s)) begin_choice(a, rules, s);
}

}  // namespace tessera::kernels::cuda
