// The position at the end of a step, and the kernel that measures what the memory can deliver. The token:
// sampling.cuh.
#pragma once

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/words.cuh"

namespace tessera::kernels::cuda {

inline constexpr int kReadThreads = 256;

TESSERA_KERNEL(kWarp, 1) advance_kernel(AdvanceArgs a) {
  let_next_start();
  wait_for_previous();
  if (lane() == 0) global<int32_t>(a.position)[0] = global<int32_t>(a.position)[0] + a.by;
}

// Four 16-byte loads in flight a thread; the checksum keeps the compiler from dropping them.
TESSERA_KERNEL(kReadThreads, 1) read_kernel(ReadArgs a) {
  constexpr int kInFlight = 4;
  let_next_start();
  wait_for_previous();
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
