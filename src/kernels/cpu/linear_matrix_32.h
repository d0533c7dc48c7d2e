// Formats of fewer than 256 values on tile registers (linear_matrix.h): a tile product is one group of sixteen rows and
// sixteen tokens, and its sums become values before the next one's.
//
// Per 16 rows, 256 values and 16 tokens: a tile product a group, and for each token three vector instructions (four
// more with offsets).
#pragma once

#include "kernels/cpu/linear_matrix.h"
#include "kernels/cpu/linear_panel.h"

namespace tessera::kernels::cpu {

template <class V, class F>
struct MatrixPanel32 : Panel32<V, F> {  // with signed codes
  using Base = Panel32<V, F>;
  int n_groups;

  void unpack(const PanelRows<V, F>& rows, int64_t step, int64_t k, const std::byte* ahead) {
    const int64_t left = k - 256 * step;
    n_groups = left < 256 ? static_cast<int>(left) / F::kGroup : Base::kGroups;
    if (n_groups == Base::kGroups)
      Base::template unpack<Base::kBytes>(rows, step * Base::kBytes, ahead);
    else
      Base::template unpack<Base::kBytes>(PaddedTail<V, F>(rows, 256 * step, k).rows, 0, ahead);
    if constexpr (F::kBias != 0)
      for (auto& four : this->codes.at) V::store(V::subtract8(V::load(four), V::splat8(F::kBias)), four);
  }
};

// Registers: 0 to 3 sums of groups j, j + 4 and so on; 4, 5 tokens; 6, 7 codes.
template <class V, class F>
class MatrixSums32 {
 public:
  using Format = F;
  using Panel = MatrixPanel32<V, F>;
  using Activation = ActivationBlock32x8;
  static constexpr int kSets = 1;
  static constexpr int kPieceValues = F::kGroup;
  static const Activation* activations(const ActivationView& x) { return x.blocks32; }

  // The sums of the last four groups stay in registers; `before`'s leave to memory.
  template <int n_sets, class Between>
  void multiply(const Panel& panel, const Activation* x, const Activation*, const Microtile& mine,
                const Microtile& before, Between&& between) {
    unroll_flat<kGroups>([&]<int j>() {
      constexpr int kSum = j % 4, kTokens = 4 + j % 2, kCodes = 6 + j % 2;
      V::template load_tile<kTokens>(x->q + F::kGroup * j, sizeof(Activation));
      V::template load_tile<kCodes>(panel.codes.at[F::kGroup / 4 * j], 64);
      V::template take_tile<kSum>(j < 4 ? sums_[before.slot][kGroups - 4 + j] : sums_[mine.slot][j - 4]);
      V::template dot_tiles<kSum, kTokens, kCodes, true>();
      if constexpr (j >= 4) between(j - 4, kGroups - 4);
    });
  }

  void store_last(const Microtile& of) {
    unroll_flat<4>([&]<int j>() { V::template take_tile<j>(sums_[of.slot][kGroups - 4 + j]); });
  }

  // Rows [begin, end); `x` and `out` are the first one's.
  template <bool kFirst>
  void finish(const Panel& panel, const Microtile& of, int begin, int end, const Activation* x, float* out,
              int64_t stride) const {
    using Floats = typename V::Floats;
    for (int i = begin; i < end; ++i, ++x, out += stride) {
      Floats acc = kFirst ? Floats::zero() : Floats::load(out);
      const auto add = [&](int j) {
        acc = add_small_block<V, F>(acc, *x, j, Floats::load(panel.d[j]), Floats::load(panel.m[j]),
                                    V::load(sums_[of.slot][j][i]));
      };
      if (panel.n_groups == kGroups)
        unroll_flat<kGroups>([&]<int j>() { add(j); });
      else
        for (int j = 0; j < panel.n_groups; ++j) add(j);
      acc.store(out);
    }
  }

 private:
  static constexpr int kGroups = Panel::kGroups;
  alignas(64) int32_t sums_[2][kGroups][kMatrixTokens][16];
};

}  // namespace tessera::kernels::cpu
