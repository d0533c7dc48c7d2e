// Tiles of memory on their way to shared memory, one a stage, for a whole block: the bulk copy engine with a barrier of
// its own for each stage on compute capability 9.0 and later, 16-byte asynchronous copies of all threads before it.
//
// The blocks of a cluster take the same tiles: each copies a part of every tile to all of them, so that the tile is
// read once. A block may be ahead of another, but not write over what that still reads: thread 0 of each tells all when
// a stage is free, and waits for all before it copies.
//
// Callers commit and wait for groups of asynchronous copies and then meet at sync_block, as for copies of their own;
// wait() adds what the copy engine needs. Bulk copies write as the tensor cores read, so nothing is fenced.
#pragma once

#include "kernels/cuda/words.cuh"

namespace tessera::kernels::cuda {

// Of shared memory, for the barriers: also where there are none, as launchers are compiled once for all.
constexpr int copies_bytes(int n_stages) { return n_stages * 16; }

// Stages in turn: where a tile is, and how many were there before it.
template <int kStages>
struct Turn {
  int stage = 0, use = 0;
  TESSERA_DEVICE void next() {
    if (++stage == kStages) stage = 0, ++use;
  }
};

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
template <int kStages, int kThreads, int kCluster = 1>
struct TileCopies {
  Shared<uint64_t> barriers;  // of the stages: copies that arrived; blocks for which the stage is free

  TESSERA_DEVICE uint32_t arrived(int stage) const {
    return static_cast<uint32_t>(__cvta_generic_to_shared(barriers + stage));
  }
  TESSERA_DEVICE uint32_t is_free(int stage) const { return arrived(kStages + stage); }
  TESSERA_DEVICE static uint32_t rank() {
    uint32_t out;
    asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(out));
    return out;
  }
  // All blocks of the cluster have come here.
  TESSERA_DEVICE static void sync_cluster() {
    asm volatile("barrier.cluster.arrive.release; barrier.cluster.wait.acquire;" ::: "memory");
  }
  TESSERA_DEVICE static void wait_phase(uint32_t barrier, int phase) {
    asm volatile(
        "{ .reg .pred p; AGAIN_%=: mbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1; @p bra DONE_%=; bra AGAIN_%=; "
        "DONE_%=: }" ::"r"(barrier),
        "r"(phase & 1)
        : "memory");
  }

  // By all threads, before any copy.
  TESSERA_DEVICE explicit TileCopies(Shared<uint8_t> memory) : barriers(cast<uint64_t>(memory)) {
    if (thread() == 0) {
      for (int i = 0; i < kStages; ++i) {
        asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(arrived(i)));
        asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(is_free(i)), "n"(kCluster));
      }
      asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    }
    if constexpr (kCluster > 1)
      sync_cluster();
    else
      sync_block();
  }
  // By all threads, before start() of a later tile in the stage: the block has no more use for the tile in it.
  TESSERA_DEVICE void release(int stage) const {
    if (kCluster == 1 || thread() >= kCluster) return;
    asm volatile(
        "{ .reg .b32 there; mapa.shared::cluster.u32 there, %0, %1; "
        "mbarrier.arrive.shared::cluster.b64 _, [there]; }" ::"r"(is_free(stage)),
        "r"(thread())
        : "memory");
  }
  // By all threads: `bytes`, a multiple of 16 kThreads and of 16 kCluster, into stage `stage` for the (use + 1)-th
  // time.
  TESSERA_DEVICE void start(Shared<uint8_t> to, Global<const uint8_t> from, int bytes, int stage, int use = 0) const {
    if (thread() != 0) return;
    const auto target = static_cast<uint32_t>(__cvta_generic_to_shared(to));
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(arrived(stage)), "r"(bytes) : "memory");
    if constexpr (kCluster == 1) {
      asm volatile(
          "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(target),
          "l"(from), "r"(bytes), "r"(arrived(stage))
          : "memory");
    } else {
      if (use > 0) wait_phase(is_free(stage), use - 1);
      const int part = bytes / kCluster, at = static_cast<int>(rank()) * part;
      asm volatile(
          "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1], %2, [%3], "
          "%4;" ::"r"(target + at),
          "l"(from + at), "r"(part), "r"(arrived(stage)), "h"(static_cast<uint16_t>((1 << kCluster) - 1))
          : "memory");
    }
  }
  // Until the copy into a stage has arrived that is the (use + 1)-th.
  TESSERA_DEVICE void wait(int stage, int use) const { wait_phase(arrived(stage), use); }
  // By all threads, before the end: others may still tell this block that stages are free.
  TESSERA_DEVICE void finish() const {
    if constexpr (kCluster > 1) sync_cluster();
  }
};
#else
template <int kStages, int kThreads, int kCluster = 1>
struct TileCopies {
  TESSERA_DEVICE explicit TileCopies(Shared<uint8_t>) {}
  TESSERA_DEVICE void release(int) const {}
  TESSERA_DEVICE void start(Shared<uint8_t> to, Global<const uint8_t> from, int bytes, int, int = 0) const {
    for (int at = 16 * thread(); at < bytes; at += 16 * kThreads) copy_async16(to + at, from + at);
  }
  TESSERA_DEVICE void wait(int, int) const {}
  TESSERA_DEVICE void finish() const {}
};
#endif

}  // namespace tessera::kernels::cuda
