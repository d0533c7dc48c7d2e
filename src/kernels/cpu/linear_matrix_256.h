// Formats of 256 values on tile registers (linear_matrix.h).
//
// Code times scale is a word. Its low bytes, unsigned, and its high bytes, signed, of sixteen rows are two panels;
// products of tiles run along the whole block, with nothing between groups: S = low sums + 256 high sums
// (arithmetic.md). M is a product of tiles, too: mins and sums of activations in bf16, where all sums are integers
// below 2^24, so that f32 holds them exactly.
//
// Per 16 rows, 256 values and 16 tokens: 8 tile products (9 with mins), and for each token six vector instructions.
#pragma once

#include "kernels/cpu/linear_matrix.h"

namespace tessera::kernels::cpu {

template <class V, class F>
struct MatrixPanel256 {
  using Bits = typename V::Bits;
  alignas(64) unsigned char low[64][64], high[64][64];  // as PanelCodes
  alignas(64) uint32_t mins[16][16];                    // of each 16 values: bf16 twice
  alignas(64) float d[16], minus_dmin[16];

  static constexpr int64_t kBytes = sizeof(typename F::Block);
  [[gnu::noinline, gnu::flatten]] void unpack(const PanelRows<V, F>& rows, int64_t block, int64_t,
                                              const std::byte* ahead) {
    const Lanes<V> lanes = rows.lanes(block * kBytes, kBytes, ahead);
    const BlockParams256<V, F> params(lanes);
    params.d.store(d);
    if constexpr (F::kHasMin) {
      params.minus_dmin.store(minus_dmin);
      unroll_flat<16>([&]<int j>() {
        constexpr int kOf = 16 * j / F::kGroup;
        const Bits byte = V::template shift_right32<8 * (kOf % 4)>(params.mins[kOf / 4]) & V::splat32(255);
        V::store(V::bf16_twice(byte), mins[j]);
      });
    }
    const Factors factors(params.scales);
    for_each_code_vector<V, F>(lanes, [&]<int k4>(Bits codes) {
      constexpr int kOf = 4 * k4 / F::kGroup;
      const Bits even = factors.template times<kOf, 0>(codes), odd = factors.template times<kOf, 1>(codes);
      V::store(V::low_bytes(even, odd), low[k4]);
      V::store(V::high_bytes(even, odd), high[k4]);
    });
  }

 private:
  // The scales of all groups as factors of bytes at even and at odd places, and those times the bias of the codes.
  struct Factors {
    static constexpr int kGroups = 256 / F::kGroup;
    alignas(64) unsigned char factor[kGroups][2][64], bias[F::kBias == 0 ? 1 : kGroups][2][64];

    explicit Factors(const Bits (&scales)[4]) {
      unroll_flat<kGroups>([&]<int g>() {
        const Bits of[] = {V::template factor_of_even<g % 4>(scales[g / 4]),
                           V::template factor_of_odd<g % 4>(scales[g / 4])};
        for (int odd = 0; odd < 2; ++odd) {
          V::store(of[odd], factor[g][odd]);
          if constexpr (F::kBias != 0) V::store(V::multiply_pairs(V::splat8(F::kBias), of[odd]), bias[g][odd]);
        }
      });
    }
    template <int g, int odd>
    Bits times(Bits codes) const {
      const Bits product = V::multiply_pairs(codes, V::load(factor[g][odd]));
      if constexpr (F::kBias == 0) return product;
      return V::subtract16(product, V::load(bias[g][odd]));
    }
  };
};

// Registers: 0 low and 1 high sums of the first set, 2 and 3 of the second; 4, 5 tokens; 6, 7 codes.
template <class V, class F>
class MatrixSums256 {
 public:
  using Format = F;
  using Panel = MatrixPanel256<V, F>;
  using Activation = ActivationBlock256;
  static constexpr int kSets = 2;
  static constexpr int kPieceValues = 64;  // of a tile product
  static const Activation* activations(const ActivationView& x) { return x.blocks256; }

  // The sums stay in registers; `before`'s leave to memory.
  template <int n_sets, class Between>
  void multiply(const Panel& panel, const Activation* x, const Activation* second, const Microtile& mine,
                const Microtile& before, Between&& between) {
    constexpr int64_t kStride = sizeof(Activation);
    constexpr int kPieces = 256 / kPieceValues;
    if constexpr (F::kHasMin) {
      V::template load_tile<4>(x->bf16_sums, kStride);
      V::template load_tile<6>(panel.mins, 64);
      V::template take_tile<0>(low_);
      V::template dot_tiles_bf16<0, 4, 6>();
      if constexpr (n_sets == 2) V::template load_tile<5>(second->bf16_sums, kStride);
      V::template take_tile<2>(low_ + before.second);
      if constexpr (n_sets == 2) V::template dot_tiles_bf16<2, 5, 6>();
    }
    unroll_flat<kPieces>([&]<int i>() {
      V::template load_tile<4>(x->q + kPieceValues * i, kStride);
      V::template load_tile<6>(panel.low[kPieceValues / 4 * i], 64);
      V::template load_tile<7>(panel.high[kPieceValues / 4 * i], 64);
      if constexpr (n_sets == 2) V::template load_tile<5>(second->q + kPieceValues * i, kStride);
      if constexpr (i == 0) V::template take_tile<1>(high_);
      V::template dot_tiles<1, 4, 7, true>();
      if constexpr (i == 0) V::template take_tile<3>(high_ + before.second);
      if constexpr (n_sets == 2) V::template dot_tiles<3, 5, 7, true>();
      if constexpr (i == 0) take_for_low<0>(mins_[mine.slot], low_);
      V::template dot_tiles<0, 4, 6, false>();
      if constexpr (i == 0) take_for_low<2>(mins_[mine.slot] + mine.second, low_ + before.second);
      if constexpr (n_sets == 2) V::template dot_tiles<2, 5, 6, false>();
      if constexpr (i > 0) between(i - 1, kPieces - 1);
    });
  }

  void store_last(const Microtile& of) {
    V::template take_tile<0>(low_);
    V::template take_tile<1>(high_);
    V::template take_tile<2>(low_ + of.second);
    V::template take_tile<3>(high_ + of.second);
  }

  // Rows [begin, end); `x` and `out` are the first one's.
  template <bool kFirst>
  void finish(const Panel& panel, const Microtile& of, int begin, int end, const Activation* x, float* out,
              int64_t stride) const {
    using Floats = typename V::Floats;
    const Floats d = Floats::load(panel.d), minus_dmin = Floats::load(panel.minus_dmin);
    for (int i = begin; i < end; ++i, ++x, out += stride) {
      const auto high = V::template shift_left32<8>(V::load(high_[i]));
      const Floats sum = V::to_floats(V::add(V::load(low_[i]), high));
      add_block<F>(kFirst ? Floats::zero() : Floats::load(out), Floats::set(x->d), d, sum, minus_dmin,
                   Floats::load(mins_[of.slot][i]))
          .store(out);
    }
  }

 private:
  // Sums of values follow those of mins in a register.
  template <int tile>
  static void take_for_low(float (*mins)[16], int32_t (*low)[16]) {
    if constexpr (F::kHasMin)
      V::template take_tile<tile>(mins);
    else
      V::template take_tile<tile>(low);
  }

  static constexpr int kRows = kSets * kMatrixTokens;
  alignas(64) int32_t low_[kRows][16], high_[kRows][16];
  alignas(64) float mins_[2][kRows][16];
};

}  // namespace tessera::kernels::cpu
