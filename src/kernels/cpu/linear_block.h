// What the drivers of many tokens (linear_panel.h, linear_matrix.h) have in common: sixteen weight rows of one block,
// put from the order of the file into lanes that are rows, and the step from a block's integers to the accumulators.
#pragma once

#include "kernels/cpu/linear_rows.h"
#include "kernels/cpu/products.h"
#include "kernels/cpu/unpack/scales.h"
#include "kernels/cpu/unroll.h"

namespace tessera::kernels::cpu {

template <class F, int kPanels>
struct TilePanels {
  PanelRows<F> of[kPanels];
  explicit TilePanels(const LinearTile& tile) {
    for (int p = 0; p < kPanels; ++p) of[p] = PanelRows<F>(tile, p * kPanelRows);
  }
};

// use.template operator()<k4>(codes) for the 64 vectors of a block of 256 values: values 4 k4 .. 4 k4 + 3 of each row.
// `ahead`: as many bytes as the rows have, kBytes each, to fetch meanwhile.
template <class V, int64_t kBytes, class F, class Use>
[[gnu::always_inline]] inline void for_each_code_vector(const PanelRows<F>& rows, int64_t offset,
                                                        const std::byte* ahead, Use&& use) {
  unroll<4>([&]<int i>() __attribute__((always_inline)) {
    typename V::Bits x[kPanelRows];
    unroll<kPanelRows>([&]<int r>() __attribute__((always_inline)) {
      x[r] = F::template codes<i>(rows.block(r, offset));
      fetch_part<V, kPanelRows * kBytes, i * kPanelRows + r, 4 * kPanelRows>(x[r], ahead);
    });
    V::transpose(x);
    if constexpr (V::kProducts == Products::kTokenPairs)
      for (int c = 0; c < kPanelRows; c += 2) V::interleave(x[c], x[c + 1]);
    unroll<kPanelRows>([&]<int c>() __attribute__((always_inline)) {
      use.template operator()<32 * (c / 8) + 8 * i + c % 8>(x[c]);
    });
  });
}

// What turns a block's sums into values, formats of 256 values: lanes are rows.
template <class V, class F>
struct BlockParams256 {
  typename V::Bits scales[4], mins[4];  // bytes of groups 4 c .. 4 c + 3 in each lane of vector c
  typename V::Floats d, minus_dmin;

  [[gnu::always_inline]] BlockParams256(const PanelRows<F>& rows, int64_t offset) {
    typename V::Bits ds[4];
    for (int z = 0; z < 4; ++z) {
      const Scales256<V> four = rows.scales(z, offset);
      scales[z] = four.scales;
      mins[z] = four.mins;
      ds[z] = four.d;
    }
    V::transpose_quarters(scales);
    const auto d_and_dmin = V::first_dwords(ds);
    d = V::f16_low(d_and_dmin);
    if constexpr (F::kHasMin) {
      V::transpose_quarters(mins);
      minus_dmin = V::Floats::zero() - V::f16_high(d_and_dmin);
    }
  }
};

// One block's step of the accumulators: `sum` and `min` are S and M of arithmetic.md.
template <class F, class Floats>
[[gnu::always_inline]] inline Floats add_block(Floats acc, Floats d_x, Floats d, Floats sum, Floats minus_dmin,
                                               Floats min) {
  if constexpr (F::kHasMin) return Floats::fma(d_x, Floats::fma(d, sum, minus_dmin * min), acc);
  return Floats::fma(d * d_x, sum, acc);
}

}  // namespace tessera::kernels::cpu
