// The loops of limits_kernels.h over an integer vocabulary V.
#pragma once

#include "kernels/cpu/limits_kernels.h"
#include "kernels/cpu/products.h"
#include "kernels/cpu/unroll.h"

namespace tessera::kernels::cpu {

template <class V>
struct LimitImpl {
  using Bits = typename V::Bits;
  using Register = typename V::ExactFloats::Register;
  // Enough chains to hide the latency of two instructions a cycle; as many registers as the set has to spare.
  static constexpr int kChains = V::kRegisters / 2;
  // Vectors of products that a chain adds up before they are widened: a word holds those of 4-bit codes.
  static constexpr int kVectors = V::kProducts == Products::kWords ? 8 : 1;

  static void read(const std::byte* bytes, int64_t n_bytes, int n_streams, int64_t ahead) {
    const int64_t stretch = n_bytes / n_streams;
    Bits sum = V::zero();
    for (int64_t i = 0; i < stretch; i += 64)
      for (int s = 0; s < n_streams; ++s) {
        const std::byte* line = bytes + s * stretch + i;
        if (ahead) __builtin_prefetch(line + ahead, 0, 2);
        sum = sum | V::load(line);
      }
    V::keep(sum);
  }

  static void dots(int64_t n) {
    Bits acc[kChains];
    unroll<kChains>([&]<int c>() __attribute__((always_inline)) {
      acc[c] = V::keep(V::zero());  // equal chains would be computed once
    });
    Bits codes = V::splat8(3);
    const Bits x = V::splat8(5);
    for (int64_t i = 0; i < n; ++i) {
      unroll<kChains>([&]<int c>() __attribute__((always_inline)) {
        Bits words = V::zero();
        unroll<kVectors>([&]<int>() __attribute__((always_inline)) {
          codes = V::keep(codes);  // a new value to the compiler: no product may serve twice, not even a part of one
          if constexpr (kVectors > 1)
            words = V::add_words(words, V::multiply_pairs(codes, x));
          else
            acc[c] = V::template dot<false>(acc[c], codes, x);
        });
        if constexpr (kVectors > 1) acc[c] = V::dot_words(acc[c], words, V::splat16(1));
      });
    }
    unroll<kChains>([&]<int c>() __attribute__((always_inline)) { V::keep(acc[c]); });
  }

  // Where there are tile registers: four sums, two sets of tokens, two of codes. Of mixed bits: zeros take so little
  // power that the clock rises by a fifth.
  static void tile_dots(int64_t n) {
    alignas(64) unsigned char bytes[16 * 64];
    for (uint32_t i = 0; i < sizeof(bytes); ++i) bytes[i] = static_cast<unsigned char>(i * 2654435761u >> 13);
    V::begin_tiles(16, 64);
    unroll<8>([&]<int tile>() __attribute__((always_inline)) { V::template load_tile<tile>(bytes, 64); });
    for (int64_t i = 0; i < n; ++i) {
      V::template dot_tiles<0, 4, 6, false>();
      V::template dot_tiles<1, 4, 7, true>();
      V::template dot_tiles<2, 5, 6, false>();
      V::template dot_tiles<3, 5, 7, true>();
    }
    V::end_tiles();
  }

  static void fmas(int64_t n) {
    Register acc[kChains];
    unroll<kChains>([&]<int c>() __attribute__((always_inline)) { acc[c] = Register::keep(Register::zero()); });
    Register a = Register::set(0.5f), b = Register::set(0.25f);
    for (int64_t i = 0; i < n; ++i) {
      a = Register::keep(a);
      b = Register::keep(b);
      unroll<kChains>([&]<int c>() __attribute__((always_inline)) { acc[c] = Register::fma(a, b, acc[c]); });
    }
    unroll<kChains>([&]<int c>() __attribute__((always_inline)) { Register::keep(acc[c]); });
  }

  static constexpr LimitKernels table() {
    LimitKernels table = {.read = read,
                          .dots = dots,
                          .fmas = fmas,
                          .ops_per_dot_round = kChains * kVectors * 4 * V::kRows * 2,
                          .ops_per_fma_round = kChains * Register::kLanes * 2};
    if constexpr (V::kProducts == Products::kMatrix) {
      table.dots = tile_dots;
      table.ops_per_dot_round = 4 * 16 * 16 * 64 * 2;
    }
    return table;
  }
  static constexpr LimitKernels kTable = table();
};

}  // namespace tessera::kernels::cpu
