// What the device can do at most, measured: the product of the tensor cores on f16 with nothing else in the way.
#pragma once

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/warpgroup.cuh"

namespace tessera::kernels::cuda {

struct PeakShape {
  static constexpr int kWarps = 8, kThreads = kWarps * kWarp, kTokens = 128, kRowTiles = 2;
  static constexpr int kTileBytes = kTokens * kTileRowBytes;
  static_assert(kThreads == kPeakThreads && 2.0 * kWarps * kRowTiles * 16 * kTokens * kTileDepth == kPeakFlops);
};

// Every warp multiplies rows of its own with one tile again and again: random bits of moderate size, as zeros would run
// cooler and faster.
TESSERA_KERNEL(PeakShape::kThreads, 1) peak_kernel(PeakArgs args) {
  using S = PeakShape;
  let_next_start();
  wait_for_previous();
  const auto tile = shared_memory();
  uint32_t state = static_cast<uint32_t>(thread() + 1) * 2654435761u;
  const auto next = [&] {
    state = state * 1664525u + 1013904223u;
    return (state & 0x8fff8fffu) | 0x30003000u;  // two f16 between 1/8 and 2 in size
  };
  for (int i = thread(); i < S::kTileBytes / 4; i += S::kThreads) cast<uint32_t>(tile)[i] = next();
  uint32_t a[S::kRowTiles][4];
  TESSERA_UNROLL
  for (int i = 0; i < S::kRowTiles * 4; ++i) a[i / 4][i % 4] = next();
  fence_async_proxy();
  sync_block();
  float acc[S::kRowTiles][S::kTokens / 2];
  for (int round = 0; round < args.n_rounds; ++round) {
    warpgroup_arrive();
    TESSERA_UNROLL
    for (int depth = 0; depth < kTileDepth / 16; ++depth) TESSERA_UNROLL
    for (int i = 0; i < S::kRowTiles; ++i) multiply_tile<S::kTokens>(acc[i], a[i], tile, depth, round + depth > 0);
    warpgroup_commit();
    warpgroup_wait<1>();
  }
  warpgroup_wait<0>();
  float sum = 0;
  TESSERA_UNROLL
  for (int i = 0; i < S::kRowTiles * S::kTokens / 2; ++i) sum += acc[i / (S::kTokens / 2)][i % (S::kTokens / 2)];
  global<float>(args.sums)[block_x() * S::kThreads + thread()] = sum;
}

inline int measure_peak(Device& device, const PeakArgs& args, Failure* failure) {
  if (args.n_blocks < 1 || args.n_rounds < 1) return fail(failure, "peak: arguments out of range");
  Launch shape;
  shape.threads = PeakShape::kThreads;
  shape.shared_bytes = PeakShape::kTileBytes;
  shape.blocks.x = args.n_blocks;
  return launch(device, shape, peak_kernel, args, failure);
}

}  // namespace tessera::kernels::cuda
