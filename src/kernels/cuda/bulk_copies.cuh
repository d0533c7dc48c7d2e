// Copies of many bytes from memory to shared memory: by the bulk copy engine on compute capability 9.0 and later, each
// stage of a ring with a barrier that knows how many bytes are still to come; by 16-byte asynchronous copies before it.
// Addresses and sizes are multiples of 16.
//
//   TileCopies   a tile for a whole block, one a stage. Callers commit and wait for groups of asynchronous copies and
//                then meet at sync_block, as for copies of their own; wait() adds what the copy engine needs. Bulk
//                copies write as the tensor cores read, so nothing is fenced.
//   RowCopies    a few rows for one warp, a ring of its own: of weights, which no other block reads
#pragma once

#include "kernels/cuda/words.cuh"

namespace tessera::kernels::cuda {

// Of shared memory, for the barriers: also where there are none, as launchers are compiled once for all.
constexpr int copies_bytes(int n_stages) { return (n_stages * 8 + 15) / 16 * 16; }

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
struct BulkBarrier {
  uint32_t address;
  TESSERA_DEVICE explicit BulkBarrier(Shared<uint64_t> place)
      : address(static_cast<uint32_t>(__cvta_generic_to_shared(place))) {}

  // n announcements complete a phase, together with the bytes they announce.
  TESSERA_DEVICE void init(int n) const {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(address), "r"(n));
  }
  TESSERA_DEVICE static void fence_init() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }
  TESSERA_DEVICE void announce(int bytes) const {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(address), "r"(bytes) : "memory");
  }
  TESSERA_DEVICE void copy(Shared<uint8_t> to, Global<const uint8_t> from, int bytes) const {
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                     static_cast<uint32_t>(__cvta_generic_to_shared(to))),
                 "l"(from), "r"(bytes), "r"(address)
                 : "memory");
  }
  // The same of bytes that nobody reads again: in the L2 they make way for what is.
  TESSERA_DEVICE void copy_for_once(Shared<uint8_t> to, Global<const uint8_t> from, int bytes) const {
    uint64_t policy;
    asm volatile("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1], %2, [%3], "
        "%4;" ::"r"(static_cast<uint32_t>(__cvta_generic_to_shared(to))),
        "l"(from), "r"(bytes), "r"(address), "l"(policy)
        : "memory");
  }
  // Until the (use + 1)-th phase is complete.
  TESSERA_DEVICE void wait(int use) const {
    asm volatile(
        "{ .reg .pred p; AGAIN_%=: mbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1; @p bra DONE_%=; bra AGAIN_%=; "
        "DONE_%=: }" ::"r"(address),
        "r"(use & 1)
        : "memory");
  }
};

template <int kStages, int kThreads>
struct TileCopies {
  Shared<uint64_t> barriers;  // of the stages

  // By all threads, before any copy.
  TESSERA_DEVICE explicit TileCopies(Shared<uint8_t> memory) : barriers(cast<uint64_t>(memory)) {
    if (thread() == 0) {
      for (int i = 0; i < kStages; ++i) BulkBarrier(barriers + i).init(1);
      BulkBarrier::fence_init();
    }
    sync_block();
  }
  // By all threads: `bytes`, a multiple of 16 kThreads, into stage `stage`.
  TESSERA_DEVICE void start(Shared<uint8_t> to, Global<const uint8_t> from, int bytes, int stage) const {
    if (thread() != 0) return;
    const BulkBarrier barrier(barriers + stage);
    barrier.announce(bytes);
    barrier.copy(to, from, bytes);
  }
  // Until the copy into a stage has arrived that is the (use + 1)-th.
  TESSERA_DEVICE void wait(int stage, int use) const { BulkBarrier(barriers + stage).wait(use); }
};

template <int kStages, int kRows>
struct RowCopies {
  Shared<uint64_t> barriers;
  int waited = 0, stage = 0;  // what is waited for next

  // By a whole warp, before any copy.
  TESSERA_DEVICE explicit RowCopies(Shared<uint8_t> memory) : barriers(cast<uint64_t>(memory)) {
    if (lane() == 0) {
      TESSERA_UNROLL
      for (int i = 0; i < kStages; ++i) BulkBarrier(barriers + i).init(kRows);
      BulkBarrier::fence_init();
    }
    sync_warp();
  }
  // By a whole warp: lane r < kRows has row r come to `to` + r stride, `bytes` of it (0: none) from `from` on.
  TESSERA_DEVICE void start(Shared<uint8_t> to, int stride, Address from, int bytes, int to_stage) const {
    if (lane() >= kRows) return;
    const BulkBarrier barrier(barriers + to_stage);
    barrier.announce(bytes);
    if (bytes > 0) barrier.copy_for_once(to + lane() * stride, global<const uint8_t>(from), bytes);
  }
  // Until the first rows of a stage have arrived, which wait() has not been called for.
  TESSERA_DEVICE void wait_for_first(int of_stage) const { BulkBarrier(barriers + of_stage).wait(0); }
  // Until the rows of the next stage have arrived.
  TESSERA_DEVICE void wait() {
    BulkBarrier(barriers + stage).wait(waited);
    if (++stage == kStages) stage = 0, ++waited;
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

template <int kStages, int kRows>
struct RowCopies {
  TESSERA_DEVICE explicit RowCopies(Shared<uint8_t>) {}
  TESSERA_DEVICE void start(Shared<uint8_t> to, int stride, Address from, int bytes, int) const {
    TESSERA_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const Address source = shuffle(from, r);
      const int n = shuffle(bytes, r);
      for (int at = 16 * lane(); at < n; at += 16 * kWarp)
        copy_async16(to + (r * stride + at), global<const uint8_t>(source) + at);
    }
    commit_copies();
  }
  TESSERA_DEVICE void wait_for_first(int) const {}  // launches do not overlap
  TESSERA_DEVICE void wait() {
    wait_copies<kStages - 1>();
    sync_warp();
  }
};
#endif

}  // namespace tessera::kernels::cuda
