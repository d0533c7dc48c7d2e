// Formats of 32 values on tile registers (linear_matrix.h): a tile product is one block of sixteen rows and sixteen
// tokens, and its sums become values before the next one's.
//
// Per 16 rows, 256 values and 16 tokens: 8 tile products, and for each token 24 vector instructions (three more a block
// with offsets).
#pragma once

#include "kernels/cpu/linear_matrix.h"
#include "kernels/cpu/linear_panel.h"

namespace tessera::kernels::cpu {

template <class V, class F>
struct MatrixPanel32 : Panel32<V, F> {  // with signed codes
  using Base = Panel32<V, F>;
  int n_blocks;

  void unpack(const PanelRows<V, F>& rows, int64_t step, int64_t k, const std::byte* ahead) {
    const int64_t all = k / 32, first = 8 * step;
    n_blocks = all - first < 8 ? static_cast<int>(all - first) : 8;
    if (n_blocks == 8)
      Base::template unpack<Base::kBytes>(rows, step * Base::kBytes, ahead);
    else
      Base::template unpack<Base::kBytes>(PaddedTail<V, F>(rows, first, all).rows, 0, ahead);
    if constexpr (F::kBias != 0)
      for (auto& four : this->codes.at) V::store(V::subtract8(V::load(four), V::splat8(F::kBias)), four);
  }
};

// Registers: 0 to 3 sums of blocks j and j + 4; 4, 5 tokens; 6, 7 codes.
template <class V, class F>
class MatrixSums32 {
 public:
  using Format = F;
  using Panel = MatrixPanel32<V, F>;
  using Activation = ActivationBlock32x8;
  static constexpr int kSets = 1;
  static constexpr int kPieceValues = 32;
  static const Activation* activations(const ActivationView& x) { return x.blocks32; }

  // The sums of the last four blocks stay in registers; `before`'s leave to memory.
  template <int n_sets, class Between>
  void multiply(const Panel& panel, const Activation* x, const Activation*, const Microtile& mine,
                const Microtile& before, Between&& between) {
    unroll_flat<8>([&]<int j>() {
      constexpr int kSum = j % 4, kTokens = 4 + j % 2, kCodes = 6 + j % 2;
      V::template load_tile<kTokens>(x->q + 32 * j, sizeof(Activation));
      V::template load_tile<kCodes>(panel.codes.at[8 * j], 64);
      V::template take_tile<kSum>(j < 4 ? sums_[before.slot][j + 4] : sums_[mine.slot][j - 4]);
      V::template dot_tiles<kSum, kTokens, kCodes, true>();
      if constexpr (j >= 4) between(j - 4, 4);
    });
  }

  void store_last(const Microtile& of) {
    unroll_flat<4>([&]<int j>() { V::template take_tile<j>(sums_[of.slot][j + 4]); });
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
      if (panel.n_blocks == 8)
        unroll_flat<8>([&]<int j>() { add(j); });
      else
        for (int j = 0; j < panel.n_blocks; ++j) add(j);
      acc.store(out);
    }
  }

 private:
  alignas(64) int32_t sums_[2][8][kMatrixTokens][16];
};

}  // namespace tessera::kernels::cpu
