// What the drivers of many tokens (linear_panel.h, linear_matrix.h) have in common: the weight rows of one block,
// put from the order of the file into lanes that are rows, and the step from a block's integers to the accumulators.
#pragma once

#include "kernels/cpu/linear_group.h"
#include "kernels/cpu/linear_rows.h"
#include "kernels/cpu/products.h"
#include "kernels/cpu/unpack/scales.h"
#include "kernels/cpu/unroll.h"

namespace tessera::kernels::cpu {

template <class V, class F, int kPanels>
struct TilePanels {
  PanelRows<V, F> of[kPanels];
  explicit TilePanels(const LinearTile& tile) {
    for (int p = 0; p < kPanels; ++p) of[p] = PanelRows<V, F>(tile, {p * V::kRows});
  }
};

// F::codes with the requests for what comes next.
template <class V, class F, class Use>
inline void for_each_code_vector(const Lanes<V>& lanes, Use&& use) {
  F::codes(lanes, [&]<int k4>(typename V::Bits codes) {
    lanes.template ask<k4>(codes);
    use.template operator()<k4>(codes);
  });
}

// What turns a block's sums into values, formats of 256 values.
template <class V, class F>
struct BlockParams256 {
  typename V::Bits scales[4], mins[4];  // as in Scales256
  typename V::Floats d, minus_dmin;

  explicit BlockParams256(const Lanes<V>& lanes) {
    const Scales256<V> of = F::scales(lanes);
    for (int c = 0; c < 256 / F::kGroup / 4; ++c) {
      scales[c] = of.scales[c];
      if constexpr (F::kHasMin) mins[c] = of.mins[c];
    }
    d = V::f16_low(of.d);
    if constexpr (unit_of_d<F>() != 1) d = d * V::Floats::set(unit_of_d<F>());
    if constexpr (F::kHasMin) minus_dmin = V::Floats::zero() - V::f16_high(of.d);
  }
};

// One block's step of the accumulators: `sum` and `min` are S and M of arithmetic.md.
template <class F, class Floats>
inline Floats add_block(Floats acc, Floats d_x, Floats d, Floats sum, Floats minus_dmin, Floats min) {
  if constexpr (F::kHasMin) return Floats::fma(d_x, Floats::fma(d, sum, minus_dmin * min), acc);
  return Floats::fma(d * d_x, sum, acc);
}

// The same for group j of 256 values, formats of small blocks; `sum`: of the products of (code - bias).
template <class V, class F, class Floats = typename V::Floats>
inline Floats add_small_block(Floats acc, const ActivationBlock32x8& x, int j, Floats d, Floats m,
                              typename V::Bits sum) {
  constexpr int kParts = F::kGroup / 16;
  const Floats d_x = Floats::set(x.d[j * F::kGroup / 32]);
  acc = Floats::fma(d * d_x, V::to_floats(sum), acc);
  if constexpr (F::kHasMin) acc = Floats::fma(m * d_x, V::to_floats(sum_of_parts<V, kParts, 1>(x, kParts * j)), acc);
  return acc;
}

}  // namespace tessera::kernels::cpu
