// Logits to a token, as generate/sampler.h has it: suppressed ids, repetition penalty, top-k, top-p, min-p,
// temperature, and the same draw from the same seed. Three launches that each read the n logits once:
//
//   scan     adjusts the logits and looks for bad ones; its last block finds the best. Greedy ends here.
//   measure  without top-k and top-p its last block draws in the order of ids. Else counts and weighs the logits in
//            bins by their distance from the best; its last block finds the bin in which the choice must end.
//   finish   lists the tokens up to that bin; its last block sorts them, cuts exactly and draws.
//
// A weight exp((logit - best) / temperature) is an integer of 40 fractional bits. Sums of them are exact, so a draw
// does not depend on the order of threads. Against the sampler's float64 weights: exp in f32 is off by two units in the
// last place, so that a draw that falls within 3e-7 of the border of two tokens may take the other one, and what weighs
// less than 2^-40 of the best is never drawn. What outweighs the cut sorts in one block: up to kSortedInShared tokens
// in shared memory, more of them (a large top-k, very flat logits) ten times slower in global memory.
#pragma once

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/sampling_scan.cuh"

namespace tessera::kernels::cuda {

// ---- measure -------------------------------------------------------------------------------------------------------

// The last block, when all tokens may be drawn: the block of logits, then the token in it.
TESSERA_DEVICE void draw_in_order(const SampleArgs& a, const SamplingRules& rules, const SamplingState& state,
                                  const Select& s) {
  const SamplingScratch scratch = scratch_of(a);
  const auto weight_of_block = [&](int64_t i) {
    const BlockResult block = scratch.blocks[i];
    return block.best;
  };
  const double target = uniform(rules) * static_cast<double>(sum_of(n_blocks_x(), weight_of_block, s));
  const Place block = first_past(
      n_blocks_x(), weight_of_block, [&](uint64_t sum) { return static_cast<double>(sum) > target; }, s);
  const int64_t first = block.index * kLogitsPerBlock, n_left = a.n - first;
  const int64_t n = n_left < kLogitsPerBlock ? n_left : kLogitsPerBlock;
  const Place place = first_past(
      n,
      [&](int64_t i) {
        const float logit = scratch.adjusted[first + i];
        return passes_min_p(logit, state, rules) ? weight_of(logit, state.best, rules.temperature) : 0;
      },
      [&](uint64_t sum) { return static_cast<double>(block.before + sum) > target; }, s);
  // Rounding may have used up the total; then there is no such block, and n is not positive.
  if (thread() == 0) choose(a, rules, place.index < n ? static_cast<int32_t>(first + place.index) : state.best_id);
}

// The last block: the bin in which top-k or top-p ends, and what lies before it.
TESSERA_DEVICE void find_cut(const SampleArgs& a, const SamplingRules& rules, SamplingState state, const Select& s) {
  const SamplingScratch scratch = scratch_of(a);
  const auto counts = cast<uint64_t>(shared_memory() + kSelectBytes), weights = counts + kSamplingBins;
  for (int i = thread(); i < kSamplingBins; i += kSelectThreads) {
    counts[i] = scratch.counts[i];
    weights[i] = scratch.weights[i];
  }
  sync_block();
  const auto count = [&](int64_t i) { return static_cast<uint64_t>(counts[i]); };
  const auto weight = [&](int64_t i) { return static_cast<uint64_t>(weights[i]); };
  const auto k = static_cast<uint64_t>(rules.top_k);
  Place last = {kSamplingBins, 0};
  if (k > 0)
    last = first_past(
        kSamplingBins, count, [k](uint64_t sum) { return sum >= k; }, s);
  const bool is_limited = last.index < kSamplingBins;
  state.k_bin = is_limited ? static_cast<int32_t>(last.index) : -1;
  state.cut = is_limited ? state.k_bin : kSamplingBins - 1;
  state.weight_left = sum_of(last.index, weight, s);
  const uint64_t at_most = state.weight_left + (is_limited ? weight(last.index) : 0);
  if (rules.top_p < 1) {
    const double held = static_cast<double>(rules.top_p) * static_cast<double>(at_most);
    const Place end = first_past(
        kSamplingBins, weight, [held](uint64_t sum) { return static_cast<double>(sum) >= held; }, s);
    state.cut = min_of(state.cut, static_cast<int>(end.index));
  }
  const uint64_t n_to_cut = sum_of(state.cut + 1, count, s);
  const bool ends_at_k = state.cut == state.k_bin;
  state.n_first = ends_at_k ? k : n_to_cut;
  state.k_first = ends_at_k ? last.before : n_to_cut;
  state.k_left = is_limited ? k - last.before : 0;
  if (thread() == 0) scratch.state[0] = state;
}

TESSERA_DEVICE void count_bins(const SampleArgs& a, const SamplingState& state) {
  constexpr int kLowBits = 20;  // of a weight: two sums of 2048 parts each fit their 32 bits
  const SamplingScratch scratch = scratch_of(a);
  const auto counts = cast<uint32_t>(shared_memory() + kSelectBytes), low = counts + kSamplingBins,
             high = low + kSamplingBins;
  float logits[kLogitsPerThread];
  load_logits(scratch.adjusted, a.n, logits);
  for (int i = thread(); i < 3 * kSamplingBins; i += kSelectThreads) counts[i] = 0;
  sync_block();
  TESSERA_UNROLL
  for (int j = 0; j < kLogitsPerThread; ++j) {
    const int bin = bin_of(logits[j], state);
    if (bin < 0) continue;
    const uint64_t weight = weight_of(logits[j], state.best, 1);
    atomic_add(counts + bin, 1);
    atomic_add(low + bin, static_cast<uint32_t>(weight & ((1u << kLowBits) - 1)));
    atomic_add(high + bin, static_cast<uint32_t>(weight >> kLowBits));
  }
  sync_block();
  for (int i = thread(); i < kSamplingBins; i += kSelectThreads) {
    if (counts[i] == 0) continue;
    atomic_add(scratch.counts + i, counts[i]);
    atomic_add(scratch.weights + i, (uint64_t{high[i]} << kLowBits) + low[i]);
  }
}

TESSERA_KERNEL(kSelectThreads, 1) measure_kernel(SampleArgs a) {
  const Select s = select_scratch();
  const SamplingScratch scratch = scratch_of(a);
  let_next_start();
  wait_for_previous();
  const SamplingRules rules = global<const SamplingRules>(a.rules)[0];
  const SamplingState state = scratch.state[0];
  if (state.choice == Choice::kMade) return;
  if (state.choice == Choice::kSorted) {
    count_bins(a, state);
  } else {
    const int first = block_x() * kLogitsPerBlock, left = a.n - first;
    const uint64_t weight = sum_of(
        min_of(left, kLogitsPerBlock),
        [&](int64_t i) {
          const float logit = scratch.adjusted[first + i];
          return passes_min_p(logit, state, rules) ? weight_of(logit, state.best, rules.temperature) : 0;
        },
        s);
    if (thread() == 0) scratch.blocks[block_x()] = {weight, 0, 0};
  }
  if (!is_last_block(scratch.counters + 1, s)) return;
  if (state.choice == Choice::kSorted)
    find_cut(a, rules, state, s);
  else
    draw_in_order(a, rules, state, s);
}

// ---- finish --------------------------------------------------------------------------------------------------------

// The tokens of the bins that matter, in any order.
TESSERA_DEVICE void list_candidates(const SampleArgs& a, const SamplingState& state) {
  const SamplingScratch scratch = scratch_of(a);
  const auto n_here = cast<uint32_t>(shared_memory() + kSelectBytes), first = n_here + 1;
  if (thread() == 0) n_here[0] = 0;
  sync_block();
  float logits[kLogitsPerThread];
  load_logits(scratch.adjusted, a.n, logits);
  uint64_t keys[kLogitsPerThread];
  int n = 0;
  TESSERA_UNROLL
  for (int j = 0; j < kLogitsPerThread; ++j) {
    const int bin = bin_of(logits[j], state);
    keys[j] = bin >= 0 && (bin <= state.cut || bin == state.k_bin) ? key_of(logits[j], id_of(j)) : ~uint64_t{0};
    n += keys[j] != ~uint64_t{0} ? 1 : 0;
  }
  uint32_t mine = 0;
  if (n > 0) mine = atomic_add(n_here, static_cast<uint32_t>(n));
  sync_block();
  if (thread() == 0) first[0] = atomic_add(scratch.counters + 3, n_here[0]);
  sync_block();
  TESSERA_UNROLL
  for (int j = 0; j < kLogitsPerThread; ++j)
    if (keys[j] != ~uint64_t{0}) scratch.list[int64_t{first[0]} + mine++] = keys[j];
}

// The last block, over the list best first.
template <typename P>
TESSERA_DEVICE void draw_from(P list, const SampleArgs& a, const SamplingRules& rules, const SamplingState& state,
                              const Select& s) {
  const auto weight = [&](int64_t i) { return weight_of(logit_of_key(list[i]), state.best, 1); };
  const auto heated = [&](int64_t i) { return weight_of(logit_of_key(list[i]), state.best, rules.temperature); };
  auto n = static_cast<int64_t>(state.n_first);
  if (rules.top_p < 1) {
    const auto from = static_cast<int64_t>(state.k_first);
    const uint64_t total =
        state.weight_left + sum_of(
                                static_cast<int64_t>(state.k_left), [&](int64_t i) { return weight(from + i); }, s);
    const double held = static_cast<double>(rules.top_p) * static_cast<double>(total);
    const Place end = first_past(
        n, weight, [held](uint64_t sum) { return static_cast<double>(sum) >= held; }, s);
    n = end.index < n ? end.index + 1 : n;
  }
  if (rules.log_min_p > -INFINITY)
    n = static_cast<int64_t>(sum_of(
        n, [&](int64_t i) { return uint64_t{passes_min_p(logit_of_key(list[i]), state, rules) ? 1u : 0u}; }, s));
  const double target = uniform(rules) * static_cast<double>(sum_of(n, heated, s));
  const Place place = first_past(
      n, heated, [target](uint64_t sum) { return static_cast<double>(sum) > target; }, s);
  const uint64_t key = list[place.index < n ? place.index : 0];  // rounding: as in draw_in_order
  if (thread() == 0) choose(a, rules, static_cast<int32_t>(static_cast<uint32_t>(key)));
}

TESSERA_KERNEL(kSelectThreads, 1) finish_kernel(SampleArgs a) {
  const Select s = select_scratch();
  const SamplingScratch scratch = scratch_of(a);
  let_next_start();
  wait_for_previous();
  const SamplingState state = scratch.state[0];
  if (state.choice != Choice::kSorted) return;
  list_candidates(a, state);
  if (!is_last_block(scratch.counters + 2, s)) return;
  const SamplingRules rules = global<const SamplingRules>(a.rules)[0];
  const auto n = static_cast<int64_t>(scratch.counters[3]);
  const auto size = static_cast<int64_t>(sampling_list_size(static_cast<int32_t>(n)));
  if (size <= kSortedInShared) {
    const auto list = cast<uint64_t>(shared_memory() + kSelectBytes);
    for (int64_t i = thread(); i < size; i += kSelectThreads)
      list[i] = i < n ? uint64_t{scratch.list[i]} : ~uint64_t{0};
    sort(list, size);
    draw_from(list, a, rules, state, s);
  } else {
    for (int64_t i = n + thread(); i < size; i += kSelectThreads) scratch.list[i] = ~uint64_t{0};
    sort(scratch.list, size);
    draw_from(scratch.list, a, rules, state, s);
  }
}

inline int sample(Device& device, const SampleArgs& args, Failure* failure) {
  if (args.n < 1 || args.n > kMaxLogits) return fail(failure, "sample: the number of logits is out of range");
  Launch shape;
  shape.threads = kSelectThreads;
  shape.blocks.x = pieces_of(args.n, kLogitsPerBlock);
  shape.shared_bytes = kSelectBytes + 2 * kMarkWords * static_cast<int>(sizeof(uint32_t));
  if (launch(device, shape, scan_kernel, args, failure)) return 1;
  if (args.is_greedy) return 0;
  shape.shared_bytes = kSelectBytes + 2 * kSamplingBins * static_cast<int>(sizeof(uint64_t));
  if (launch(device, shape, measure_kernel, args, failure)) return 1;
  shape.shared_bytes = kSelectBytes + kSortedInShared * static_cast<int>(sizeof(uint64_t));
  return launch(device, shape, finish_kernel, args, failure);
}

}  // namespace tessera::kernels::cuda
