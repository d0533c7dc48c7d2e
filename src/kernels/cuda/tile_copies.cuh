// Tiles of memory on their way to shared memory, one a stage, for a whole block: the bulk copy engine with a barrier of
// its own for each stage on compute capability 9.0 and later, 16-byte asynchronous copies of all threads before it.
//
// Callers commit and wait for groups of asynchronous copies and then meet at sync_block, as for copies of their own;
// wait() adds what the copy engine needs. Bulk copies write as the tensor cores read, so nothing is fenced.
#pragma once

#include "kernels/cuda/words.cuh"

namespace tessera::kernels::cuda {

// Of shared memory, for the barriers: also where there are none, as launchers are compiled once for all.
constexpr int copies_bytes(int n_stages) { return (n_stages * 8 + 15) / 16 * 16; }

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
template <int kStages, int kThreads>
struct TileCopies {
  Shared<uint64_t> barriers;  // of the stages

  TESSERA_DEVICE uint32_t barrier(int stage) const {
    return static_cast<uint32_t>(__cvta_generic_to_shared(barriers + stage));
  }
  // By all threads, before any copy.
  TESSERA_DEVICE explicit TileCopies(Shared<uint8_t> memory) : barriers(cast<uint64_t>(memory)) {
    if (thread() == 0) {
      for (int i = 0; i < kStages; ++i) asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(barrier(i)));
      asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    }
    sync_block();
  }
  // By all threads: `bytes`, a multiple of 16 kThreads, into stage `stage`.
  TESSERA_DEVICE void start(Shared<uint8_t> to, Global<const uint8_t> from, int bytes, int stage) const {
    if (thread() != 0) return;
    const auto target = static_cast<uint32_t>(__cvta_generic_to_shared(to));
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier(stage)), "r"(bytes) : "memory");
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(target),
        "l"(from), "r"(bytes), "r"(barrier(stage))
        : "memory");
  }
  // Until the copy into a stage has arrived that is the (use + 1)-th.
  TESSERA_DEVICE void wait(int stage, int use) const {
    asm volatile(
        "{ .reg .pred p; AGAIN_%=: mbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1; @p bra DONE_%=; bra AGAIN_%=; "
        "DONE_%=: }" ::"r"(barrier(stage)),
        "r"(use & 1)
        : "memory");
  }
};
#else
template <int kStages, int kThreads>
struct TileCopies {
  TESSERA_DEVICE explicit TileCopies(Shared<uint8_t>) {}
  TESSERA_DEVICE void start(Shared<uint8_t> to, Global<const uint8_t> from, int bytes, int) const {
    for (int at = 16 * thread(); at < bytes; at += 16 * kThreads) copy_async16(to + at, from + at);
  }
  TESSERA_DEVICE void wait(int, int) const {}
};
#endif

}  // namespace tessera::kernels::cuda
