// The loops of limits_kernels.h over an integer vocabulary V.
#pragma once

#include "kernels/cpu/limits_kernels.h"
#include "kernels/cpu/unroll.h"

namespace tessera::kernels::cpu {

template <class V>
struct LimitImpl {
  using Bits = typename V::Bits;
  using Floats = typename V::Floats;
  // Enough chains to hide the latency of two instructions a cycle; as many registers as the set has to spare.
  static constexpr int kChains = V::kRegisters / 2;

  static void read(const std::byte* bytes, int64_t n_bytes, int n_streams) {
    const int64_t stretch = n_bytes / n_streams;
    Bits sum = V::zero();
    for (int64_t i = 0; i < stretch; i += 64)
      for (int s = 0; s < n_streams; ++s) sum = sum | V::load(bytes + s * stretch + i);
    V::keep(sum);
  }

  static void dots(int64_t n) {
    Bits acc[kChains];
    unroll<kChains>([&]<int c>() __attribute__((always_inline)) {
      acc[c] = V::zero();
      V::keep(acc[c]);  // equal chains would be computed once
    });
    Bits codes = V::splat8(3), x = V::splat8(5);
    for (int64_t i = 0; i < n; ++i) {
      V::keep(codes);  // a new value to the compiler: no product may be carried over
      V::keep(x);
      unroll<kChains>([&]<int c>()
                          __attribute__((always_inline)) { acc[c] = V::template dot<false>(acc[c], codes, x); });
    }
    unroll<kChains>([&]<int c>() __attribute__((always_inline)) { V::keep(acc[c]); });
  }

  static void fmas(int64_t n) {
    Floats acc[kChains];
    unroll<kChains>([&]<int c>() __attribute__((always_inline)) {
      acc[c] = Floats::zero();
      V::keep(acc[c]);
    });
    Floats a = Floats::set(0.5f), b = Floats::set(0.25f);
    for (int64_t i = 0; i < n; ++i) {
      V::keep(a);
      V::keep(b);
      unroll<kChains>([&]<int c>() __attribute__((always_inline)) { acc[c] = Floats::fma(a, b, acc[c]); });
    }
    unroll<kChains>([&]<int c>() __attribute__((always_inline)) { V::keep(acc[c]); });
  }

  static constexpr LimitKernels kTable = {.read = read,
                                          .dots = dots,
                                          .fmas = fmas,
                                          .ops_per_dot_round = kChains * 64 * 2,
                                          .ops_per_fma_round = kChains * 16 * 2};
};

}  // namespace tessera::kernels::cpu
