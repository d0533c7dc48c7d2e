// The end of a step: the greedy token, the position; and the kernel that measures what the memory can deliver.
#pragma once

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/words.cuh"

namespace tessera::kernels::cuda {

inline constexpr int kArgmaxThreads = 1024, kReadThreads = 256;

// A logit with its index, ordered: a NaN before all, then the larger, then the lower index.
struct Candidate {
  float logit;
  int index;
};
TESSERA_DEVICE bool is_better(const Candidate& a, const Candidate& b) {
  const bool a_nan = !(a.logit == a.logit), b_nan = !(b.logit == b.logit);
  if (a_nan || b_nan) return a_nan && (!b_nan || a.index < b.index);
  return a.logit > b.logit || (a.logit == b.logit && a.index < b.index);
}
TESSERA_DEVICE Candidate best_of_warp(Candidate best) {
  for (int step = kWarp / 2; step > 0; step /= 2) {
    Candidate other;
    other.logit = shuffle_xor(best.logit, step);
    other.index = shuffle_xor(best.index, step);
    if (is_better(other, best)) best = other;
  }
  return best;
}

TESSERA_KERNEL(kArgmaxThreads, 1) argmax_kernel(ArgmaxArgs a) {
  constexpr int kWarps = kArgmaxThreads / kWarp;
  static_assert(kWarps == kWarp);
  const auto logits = cast<float>(shared_memory());
  const auto indices = cast<int32_t>(shared_memory() + kWarps * static_cast<int>(sizeof(float)));
  wait_for_previous();
  let_next_start();
  Candidate best = {-INFINITY, a.n};
  for (int i = thread(); i < a.n; i += kArgmaxThreads) {
    const Candidate candidate = {global<const float>(a.logits)[i], i};
    if (is_better(candidate, best)) best = candidate;
  }
  best = best_of_warp(best);
  if (lane() == 0) logits[warp()] = best.logit, indices[warp()] = best.index;
  sync_block();
  best = best_of_warp({logits[lane()], indices[lane()]});
  // All -inf: the lowest index, as for any other equals.
  if (thread() == 0) global<int32_t>(a.token)[0] = best.logit == best.logit ? (best.index < a.n ? best.index : 0) : -1;
}

TESSERA_KERNEL(kWarp, 1) advance_kernel(AdvanceArgs a) {
  wait_for_previous();
  let_next_start();
  if (lane() == 0) global<int32_t>(a.position)[0] = global<int32_t>(a.position)[0] + a.by;
}

// Four 16-byte loads in flight a thread; the checksum keeps the compiler from dropping them.
TESSERA_KERNEL(kReadThreads, 1) read_kernel(ReadArgs a) {
  constexpr int kInFlight = 4;
  wait_for_previous();
  let_next_start();
  const auto n = static_cast<int64_t>(a.n_bytes / 16);
  const int64_t step = int64_t{n_blocks_x()} * kReadThreads;
  uint32_t sum = 0;
  for (int64_t i = int64_t{block_x()} * kReadThreads + thread(); i < n; i += kInFlight * step) {
    Words4 words[kInFlight];
    TESSERA_UNROLL
    for (int j = 0; j < kInFlight; ++j)
      words[j] = i + j * step < n ? global<const Words4>(a.data)[i + j * step] : Words4{{0, 0, 0, 0}};
    TESSERA_UNROLL
    for (int j = 0; j < kInFlight; ++j)
      sum ^= words[j].word[0] ^ words[j].word[1] ^ words[j].word[2] ^ words[j].word[3];
  }
  for (int mask = kWarp / 2; mask > 0; mask /= 2) sum ^= shuffle_xor(sum, mask);
  if (lane() == 0) global<uint32_t>(a.checksum)[block_x() * (kReadThreads / kWarp) + warp()] = sum;
}

inline int argmax(Device& device, const ArgmaxArgs& args, Failure* failure) {
  Launch shape;
  shape.threads = kArgmaxThreads;
  shape.shared_bytes = kArgmaxThreads / kWarp * static_cast<int>(sizeof(float) + sizeof(int32_t));
  return launch(device, shape, argmax_kernel, args, failure);
}
inline int advance(Device& device, const AdvanceArgs& args, Failure* failure) {
  return launch(device, {}, advance_kernel, args, failure);
}
inline int read_memory(Device& device, const ReadArgs& args, Failure* failure) {
  Launch shape;
  shape.threads = kReadThreads;
  shape.blocks.x = kReadBlocks;
  return launch(device, shape, read_kernel, args, failure);
}

}  // namespace tessera::kernels::cuda
