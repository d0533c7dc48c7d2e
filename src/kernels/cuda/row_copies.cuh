// Rows on their way to shared memory as one piece each, a warp's sixteen with a barrier for each stage: by the bulk
// copy engine, where compute capability 9.0 has one.
#pragma once

#include "kernels/cuda/words.cuh"

namespace tessera::kernels::cuda {

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
struct RowCopies {
  static constexpr bool kAreThere = true;
  static constexpr int bytes(int n_stages) { return 8 * n_stages; }
  uint32_t barriers;

  TESSERA_DEVICE RowCopies(Shared<uint64_t> memory, int n_stages, int n_rows)
      : barriers(static_cast<uint32_t>(__cvta_generic_to_shared(memory))) {
    if (lane() == 0) {
      for (int i = 0; i < n_stages; ++i)
        asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barriers + 8 * i), "r"(n_rows));
      asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    }
    sync_warp();
  }
  TESSERA_DEVICE void start(Shared<uint8_t> to, Global<const uint8_t> from, int bytes, int stage) const {
    const auto target = static_cast<uint32_t>(__cvta_generic_to_shared(to));
    const uint32_t barrier = barriers + 8 * stage;
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(target),
        "l"(from), "r"(bytes), "r"(barrier)
        : "memory");
  }
  TESSERA_DEVICE void wait(int stage, int phase) const {
    asm volatile(
        "{ .reg .pred p; AGAIN_%=: mbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1; @p bra DONE_%=; bra AGAIN_%=; "
        "DONE_%=: }" ::"r"(barriers + 8 * stage),
        "r"(phase & 1)
        : "memory");
  }
};
#else
struct RowCopies {
  static constexpr bool kAreThere = false;
  static constexpr int bytes(int n_stages) { return 8 * n_stages; }
  TESSERA_DEVICE RowCopies(Shared<uint64_t>, int, int) {}
  TESSERA_DEVICE void start(Shared<uint8_t>, Global<const uint8_t>, int, int) const {}
  TESSERA_DEVICE void wait(int, int) const {}
};
#endif

}  // namespace tessera::kernels::cuda
