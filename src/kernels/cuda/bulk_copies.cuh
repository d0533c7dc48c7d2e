// Copies of many bytes from memory to shared memory: by the bulk copy engine on compute capability 9.0 and later, each
// stage of a ring with a barrier that knows how many bytes are still to come; by 16-byte asynchronous copies before it.
// Addresses and sizes are multiples of 16.
//
//   TileCopies   a tile for a whole block, one a stage. Callers commit and wait for groups of asynchronous copies and
//                then meet(), as for copies of their own; wait() adds what the copy engine needs. Bulk copies write as
//                the tensor cores read, so nothing is fenced.
//   RowCopies    a few rows for one warp, a ring of its own: of weights, which no other block reads
#pragma once

#include "kernels/cuda/words.cuh"

namespace tessera::kernels::cuda {

// Copies are quickest between places that are equal modulo this: rows of a kilobyte by a twentieth.
inline constexpr int kBulkAlignment = 128;

// Of shared memory, for the barriers: also where there are none, as launchers are compiled once for all.
constexpr int copies_bytes(int n_stages) { return (n_stages * 8 + 15) / 16 * 16; }

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
template <int kStages, int kThreads>
struct TileCopies {
  Shared<uint64_t> full, read;  // of the stages

  // By all threads, before any copy.
  TESSERA_DEVICE explicit TileCopies(Shared<uint8_t> memory) : full(cast<uint64_t>(memory)), read(full + kStages) {
    if (thread() == 0) {
      for (int i = 0; i < kStages; ++i) Barrier(full + i).init(1), Barrier(read + i).init(kThreads / kWarp);
      Barrier::fence_init();
    }
    sync_block();
  }
  // By all threads: `bytes`, a multiple of 16 kThreads, into stage `stage`, its (use + 1)-th copy, when all warps have
  // released the one before.
  TESSERA_DEVICE void start(Shared<uint8_t> to, Global<const uint8_t> from, int bytes, int stage, int use) const {
    if (thread() != 0) return;
    if (use > 0) Barrier(read + stage).wait(use - 1);
    const Barrier barrier(full + stage);
    barrier.announce(bytes);
    barrier.copy(to, from, bytes);
  }
  // Warps need not wait for each other.
  TESSERA_DEVICE void meet() const {}
  // Until the copy into a stage has arrived that is the (use + 1)-th.
  TESSERA_DEVICE void wait(int stage, int use) const { Barrier(full + stage).wait(use); }
  // By all lanes of a warp, when it has read a stage.
  TESSERA_DEVICE void release(int stage) const {
    if (lane() == 0) Barrier(read + stage).arrive();
  }
};

template <int kStages, int kRows>
struct RowCopies {
  Shared<uint64_t> barriers;
  int waited = 0, stage = 0;  // what is waited for next

  // By a whole warp, before any copy.
  TESSERA_DEVICE explicit RowCopies(Shared<uint8_t> memory) : barriers(cast<uint64_t>(memory)) {
    if (lane() == 0) {
      TESSERA_UNROLL
      for (int i = 0; i < kStages; ++i) Barrier(barriers + i).init(kRows);
      Barrier::fence_init();
    }
    sync_warp();
  }
  // By a whole warp: lane r < kRows has `bytes` of row r (0: none) come to its `place` in the stage.
  TESSERA_DEVICE void start(Shared<uint8_t> to, int place, Address from, int bytes, int to_stage) const {
    if (lane() >= kRows) return;
    const Barrier barrier(barriers + to_stage);
    barrier.announce(bytes);
    if (bytes > 0) barrier.copy_for_once(to + place, global<const uint8_t>(from), bytes);
  }
  // Until the first rows of a stage have arrived, which wait() has not been called for.
  TESSERA_DEVICE void wait_for_first(int of_stage) const { Barrier(barriers + of_stage).wait(0); }
  // Until the rows of the next stage have arrived.
  TESSERA_DEVICE void wait() {
    Barrier(barriers + stage).wait(waited);
    if (++stage == kStages) stage = 0, ++waited;
  }
};
#else
template <int kStages, int kThreads>
struct TileCopies {
  TESSERA_DEVICE explicit TileCopies(Shared<uint8_t>) {}
  TESSERA_DEVICE void start(Shared<uint8_t> to, Global<const uint8_t> from, int bytes, int, int) const {
    for (int at = 16 * thread(); at < bytes; at += 16 * kThreads) copy_async16(to + at, from + at);
  }
  // All have released what they read before.
  TESSERA_DEVICE void meet() const { sync_block(); }
  TESSERA_DEVICE void wait(int, int) const {}
  TESSERA_DEVICE void release(int) const {}
};

template <int kStages, int kRows>
struct RowCopies {
  TESSERA_DEVICE explicit RowCopies(Shared<uint8_t>) {}
  TESSERA_DEVICE void start(Shared<uint8_t> to, int place, Address from, int bytes, int) const {
    TESSERA_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const Address source = shuffle(from, r);
      const int n = shuffle(bytes, r), row = shuffle(place, r);
      for (int at = 16 * lane(); at < n; at += 16 * kWarp)
        copy_async16(to + (row + at), global<const uint8_t>(source) + at);
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

// Stages of rows in slots, by one warp for others: of each slot a barrier says that it is full, another that all of
// them have read it.
struct StageCopies {
  Shared<uint64_t> full, read;  // of the slots
  int n_slots;

  static constexpr int bytes(int slots) { return 2 * slots * 8; }
  TESSERA_DEVICE StageCopies(Shared<uint8_t> memory, int slots)
      : full(cast<uint64_t>(memory)), read(full + slots), n_slots(slots) {}
  // By one thread, before sync_block and any copy. Every lane of n_readers warps arrives when it has read: one for all
  // of a warp would do, but racecheck does not follow sync_warp.
  TESSERA_DEVICE void init(int n_readers) const {
    TESSERA_LOOP
    for (int i = 0; i < n_slots; ++i) Barrier(full + i).init(kWarp), Barrier(read + i).init(kWarp * n_readers);
    Barrier::fence_init();
  }
  // By the whole copying warp: `bytes` of each lane's own to `place` in the ring, 0: none. Then finish(), when there
  // are no more.
  TESSERA_DEVICE void start(int slot, Shared<uint8_t> ring, int place, Address from, int bytes) const {
#if !defined(__CUDACC__) || __CUDA_ARCH__ >= 900
    if (bytes == 0) return;
    const Barrier barrier(full + slot);
    barrier.expect(bytes);
    barrier.copy_for_once(ring + place, global<const uint8_t>(from), bytes);
#else
    for (uint32_t lanes = lanes_where(bytes > 0); lanes != 0; lanes &= lanes - 1) {
      const int of = lowest_bit(lanes), n = shuffle(bytes, of);
      const auto target = ring + shuffle(place, of);
      const auto source = global<const uint8_t>(shuffle(from, of));
      for (int at = 16 * lane(); at < n; at += 16 * kWarp) copy_async16(target + at, source + at);
    }
#endif
  }
  TESSERA_DEVICE void finish(int slot) const {
#if !defined(__CUDACC__) || __CUDA_ARCH__ >= 900
    Barrier(full + slot).arrive();
#else
    Barrier(full + slot).arrive_after_copies();
#endif
  }
};

}  // namespace tessera::kernels::cuda
