// Barrier of kernels/cuda/words.cuh in CUDA: PTX's mbarrier, and bulk copies that complete its phases.
#pragma once

#include "kernels/cuda/words_device.cuh"

namespace tessera::kernels::cuda {

// One of shared memory. The second half of what it offers needs compute capability 9.0.
struct Barrier {
  uint32_t address;
  TESSERA_DEVICE explicit Barrier(Shared<uint64_t> place)
      : address(static_cast<uint32_t>(__cvta_generic_to_shared(place))) {}

  TESSERA_DEVICE void init(int n) const {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(address), "r"(n));
  }
  TESSERA_DEVICE void arrive() const {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(address) : "memory");
  }
  TESSERA_DEVICE void arrive_after_copies() const {
    asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(address) : "memory");
  }
  TESSERA_DEVICE void wait(int use) const {
#if __CUDA_ARCH__ >= 900
    asm volatile(
        "{ .reg .pred p; AGAIN_%=: mbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1; @p bra DONE_%=; bra AGAIN_%=; "
        "DONE_%=: }" ::"r"(address),
        "r"(use & 1)
        : "memory");
#else
    asm volatile(
        "{ .reg .pred p; AGAIN_%=: mbarrier.test_wait.parity.shared::cta.b64 p, [%0], %1; @p bra DONE_%=; bra "
        "AGAIN_%=; DONE_%=: }" ::"r"(address),
        "r"(use & 1)
        : "memory");
#endif
  }
  TESSERA_DEVICE static void fence_init() {
#if __CUDA_ARCH__ >= 900
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
#endif
  }
  TESSERA_DEVICE static void fence_writes() {
#if __CUDA_ARCH__ >= 900
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
  }
#if __CUDA_ARCH__ >= 900
  TESSERA_DEVICE void expect(int bytes) const {
    asm volatile("mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%0], %1;" ::"r"(address), "r"(bytes) : "memory");
  }
  TESSERA_DEVICE void announce(int bytes) const {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(address), "r"(bytes) : "memory");
  }
  TESSERA_DEVICE void copy(Shared<uint8_t> to, Global<const uint8_t> from, int bytes) const {
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                     static_cast<uint32_t>(__cvta_generic_to_shared(to))),
                 "l"(from), "r"(bytes), "r"(address)
                 : "memory");
  }
  TESSERA_DEVICE void copy_for_once(Shared<uint8_t> to, Global<const uint8_t> from, int bytes) const {
    uint64_t policy;
    asm volatile("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1], %2, [%3], "
        "%4;" ::"r"(static_cast<uint32_t>(__cvta_generic_to_shared(to))),
        "l"(from), "r"(bytes), "r"(address), "l"(policy)
        : "memory");
  }
#endif
};
template <typename T>
TESSERA_DEVICE void store_for_others(T* p, T value) {
  *p = value;
}
}  // namespace tessera::kernels::cuda
