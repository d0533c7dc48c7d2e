// What the last block of a launch does with what all have left: sums in order, the place where a running sum passes a
// mark, sorting. Sums are of integers, so that neither the number of blocks nor their order shows in a result.
#pragma once

#include "kernels/cuda/words.cuh"

namespace tessera::kernels::cuda {

inline constexpr int kSelectThreads = 512, kSelectWarps = kSelectThreads / kWarp;

// Shared memory of the functions here.
struct SelectScratch {
  uint64_t warps[kSelectWarps];  // one value of each warp
  uint64_t before;               // what first_past found
  int64_t index;
  uint32_t is_last;
};

// The block's place in the scratch: members of a struct in shared memory, as pointers that know their bounds.
struct Select {
  Shared<uint64_t> warps, before;
  Shared<int64_t> index;
  Shared<uint32_t> is_last;
};
TESSERA_DEVICE Select select_scratch() {
  const auto base = shared_memory();
  return {cast<uint64_t>(base), cast<uint64_t>(base + static_cast<int>(offsetof(SelectScratch, before))),
          cast<int64_t>(base + static_cast<int>(offsetof(SelectScratch, index))),
          cast<uint32_t>(base + static_cast<int>(offsetof(SelectScratch, is_last)))};
}

TESSERA_DEVICE bool is_last_block(Global<uint32_t> counter, const Select& s) {
  return is_last_of(counter, n_blocks_x(), s.is_last);
}

TESSERA_DEVICE uint64_t warp_total(uint64_t value) {
  for (int step = kWarp / 2; step > 0; step /= 2) value += shuffle_xor(value, step);
  return value;
}
TESSERA_DEVICE uint64_t warp_least(uint64_t value) {
  for (int step = kWarp / 2; step > 0; step /= 2) {
    const uint64_t other = shuffle_xor(value, step);
    value = other < value ? other : value;
  }
  return value;
}
// Of the lanes up to this one.
TESSERA_DEVICE uint64_t warp_running_total(uint64_t value) {
  for (int step = 1; step < kWarp; step *= 2) {
    const uint64_t other = shuffle(value, lane() - step);
    if (lane() >= step) value += other;
  }
  return value;
}

TESSERA_DEVICE uint64_t block_least(uint64_t value, const Select& s) {
  value = warp_least(value);
  if (lane() == 0) s.warps[warp()] = value;
  sync_block();
  value = warp_least(s.warps[lane() % kSelectWarps]);
  sync_block();
  return value;
}

// The sum of value(i) over [0, n), in every thread.
template <typename F>
TESSERA_DEVICE uint64_t sum_of(int64_t n, const F& value, const Select& s) {
  uint64_t sum = 0;
  for (int64_t i = thread(); i < n; i += kSelectThreads) sum += value(i);
  sum = warp_total(sum);
  if (lane() == 0) s.warps[warp()] = sum;
  sync_block();
  sum = 0;
  for (int i = 0; i < kSelectWarps; ++i) sum += s.warps[i];
  sync_block();
  return sum;
}

struct Place {
  int64_t index;    // n: nowhere
  uint64_t before;  // the sum of all values before it
};
// Where the running sum of value(i) over [0, n) first is_past(sum); it must stay so from there.
template <typename F, typename G>
TESSERA_DEVICE Place first_past(int64_t n, const F& value, const G& is_past, const Select& s) {
  uint64_t total = 0;
  for (int64_t base = 0; base < n; base += kSelectThreads) {
    const int64_t i = base + thread();
    const uint64_t mine = i < n ? value(i) : 0;
    const uint64_t running = warp_running_total(mine);
    if (lane() == kWarp - 1) s.warps[warp()] = running;
    if (thread() == 0) s.index[0] = n, s.before[0] = 0;
    sync_block();
    uint64_t before = total;
    for (int w = 0; w < kSelectWarps; ++w) {
      if (w < warp()) before += s.warps[w];
      total += s.warps[w];
    }
    const uint64_t until = before + running, without_me = until - mine;
    if (i < n && is_past(until) && (i == 0 || !is_past(without_me))) {
      s.index[0] = i;
      s.before[0] = without_me;
    }
    sync_block();
    const int64_t index = s.index[0];
    const uint64_t up_to = s.before[0];
    sync_block();
    if (index < n) return {index, up_to};
  }
  return {n, total};
}

// Sorts `size` numbers, a power of two, the smallest first.
template <typename P>
TESSERA_DEVICE void sort(P list, int64_t size) {
  for (int64_t run = 2; run <= size; run *= 2) {
    for (int64_t stride = run / 2; stride > 0; stride /= 2) {
      sync_block();
      for (int64_t i = thread(); i < size / 2; i += kSelectThreads) {
        const int64_t at = 2 * i - (i & (stride - 1));
        const uint64_t a = list[at], b = list[at + stride];
        if ((a > b) == ((at & run) == 0)) {
          list[at] = b;
          list[at + stride] = a;
        }
      }
    }
  }
  sync_block();
}

}  // namespace tessera::kernels::cuda
