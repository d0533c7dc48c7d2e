// What a tile of many tokens asks for while it works on a block: as many bytes as the block has of the weights that its
// thread reads next. Panels ask for a third of them as they are unpacked, microtiles for the rest, each for its share:
// asked for at once they do not fit the processor's queue of misses, which drops what it cannot hold, and memory idles
// later.
#pragma once

#include "kernels/cpu/linear_kernels.h"

namespace tessera::kernels::cpu {

template <class V>
inline constexpr int kPanels = kTileRows / V::kRows;

template <class V, int64_t kBytes>
class BlockRequests {
 public:
  static constexpr int64_t kPanelBytes = kBytes / 3;  // for each row

  BlockRequests(const std::byte* from, int n_tokens)
      : from_(from), n_microtiles_(kPanels<V> / V::kRowVectors * ((n_tokens + V::kTokens - 1) / V::kTokens)) {}

  const std::byte* of_panel(int p) const { return from_ + p * V::kRows * kPanelBytes; }
  // Before each microtile.
  [[gnu::always_inline]] void of_microtile() {
    constexpr int kLines = (kTileRows * (kBytes - kPanelBytes) + 63) / 64;
    const std::byte* rest = from_ + kTileRows * kPanelBytes;
    for (due_ += kLines; due_ > 0; due_ -= n_microtiles_) __builtin_prefetch(rest + 64 * n_asked_++);
  }

 private:
  const std::byte* from_;
  int n_microtiles_, n_asked_ = 0;
  int due_ = 0;  // lines, times n_microtiles_
};

}  // namespace tessera::kernels::cpu
