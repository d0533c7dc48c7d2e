// Many tokens on tile registers: out[m, n] = sum_k w[n, k] x[m, k], one tile of rows at a time, formats of 256 values.
//
// Code times scale is a word. Its low bytes, unsigned, and its high bytes, signed, of sixteen rows are unpacked once
// into two panels; products of tiles then run along a whole block of 256 for all tokens, with nothing between groups:
// S = low sums + 256 high sums (arithmetic.md). M is a product of tiles, too: mins and sums of activations in bf16,
// where all sums are integers below 2^24, so that f32 holds them exactly. While the tile registers multiply for one
// set of tokens, the vector registers turn the sums of an earlier set into values.
//
// Per 16 rows, 256 values and 16 tokens: 8 tile products (9 with mins), and for each token six vector instructions.
// Reference: linear_reference.cpp.
#pragma once

#include <algorithm>

#include "kernels/cpu/linear_block.h"
#include "kernels/cpu/linear_finish.h"

namespace tessera::kernels::cpu {

template <class V, class F>
struct MatrixPanel256 {
  using Bits = typename V::Bits;
  alignas(64) unsigned char low[64][64], high[64][64];  // as PanelCodes
  alignas(64) uint32_t mins[16][16];                    // of each 16 values: bf16 twice
  alignas(64) float d[16], minus_dmin[16];

  static constexpr int64_t kBytes = sizeof(typename F::Block);
  [[gnu::always_inline]] void unpack(const PanelRows<F>& rows, int64_t offset, const std::byte* ahead) {
    const BlockParams256<V, F> params(rows, offset);
    params.d.store(d);
    if constexpr (F::kHasMin) {
      params.minus_dmin.store(minus_dmin);
      unroll<16>([&]<int j>() __attribute__((always_inline)) {
        constexpr int kOf = 16 * j / F::kGroup;
        const Bits byte = V::template shift_right32<8 * (kOf % 4)>(params.mins[kOf / 4]) & V::splat32(255);
        V::store(V::bf16_twice(byte), mins[j]);
      });
    }
    const Factors factors(params.scales);
    for_each_code_vector<V, kBytes>(
        rows, offset, ahead, [&]<int k4>(Bits codes) __attribute__((always_inline)) {
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

    [[gnu::always_inline]] explicit Factors(const Bits (&scales)[4]) {
      unroll<kGroups>([&]<int g>() __attribute__((always_inline)) {
        const Bits of[] = {V::template factor_of_even<g % 4>(scales[g / 4]),
                           V::template factor_of_odd<g % 4>(scales[g / 4])};
        for (int odd = 0; odd < 2; ++odd) {
          V::store(of[odd], factor[g][odd]);
          if constexpr (F::kBias != 0) V::store(V::multiply_pairs(V::splat8(F::kBias), of[odd]), bias[g][odd]);
        }
      });
    }
    template <int g, int odd>
    [[gnu::always_inline]] Bits times(Bits codes) const {
      const Bits product = V::multiply_pairs(codes, V::load(factor[g][odd]));
      if constexpr (F::kBias == 0) return product;
      return V::subtract16(product, V::load(bias[g][odd]));
    }
  };
};

template <class V, class F>
class MatrixTile256 {
 public:
  explicit MatrixTile256(const LinearTile& tile)
      : tile_(tile),
        n_rows_(std::min(tile.n_tokens, kMatrixTokens)),
        n_panels_((tile.n_rows + kPanelRows - 1) / kPanelRows) {}

  void run() {
    const TilePanels<F, kPanels> rows(tile_);
    const int64_t n_blocks = tile_.x.k / 256;
    const std::byte* ahead = tile_.next;
    x_ = tile_.x.blocks256;
    V::begin_tiles(n_rows_);
    for (int64_t b = 0; b < n_blocks; ++b, x_ += tile_.x.m) {
      first_ = b == 0;
      last_ = b + 1 == n_blocks;
      for (int p = 0; p < n_panels_; ++p, ahead += kPanelRows * Panel::kBytes)
        panels_[p].unpack(rows.of[p], b * Panel::kBytes, ahead);
      next_x_ = reinterpret_cast<const std::byte*>(last_ ? tile_.x.blocks256 : x_ + tile_.x.m);
      all_tokens();
    }
    V::end_tiles();
  }

 private:
  using Panel = MatrixPanel256<V, F>;
  using Bits = typename V::Bits;
  using Floats = typename V::Floats;
  static constexpr int kPanels = kMatrixTileRows / kPanelRows;
  static constexpr int kSets = 2;           // of tokens, multiplied together
  static constexpr int kPieces = 256 / 64;  // tile products along a block
  // What the first cache keeps while products go through it: 12 kB of activations, 18 kB of two panels.
  static constexpr int kNearTokens = 32, kNearPanels = 2;

  // Sums of one panel and up to two sets of tokens, and whose they are: row i is token base + i. Rows before `begin`
  // have been finished before.
  struct Sums {
    alignas(64) float mins[kSets * kMatrixTokens][16];
    int panel, base, begin, end;
    int second;  // row of the second set's first token; without one, a row that nobody reads
  };

  void all_tokens() {
    for (Sums& sums : sums_) sums.panel = sums.base = sums.begin = sums.end = sums.second = 0;
    for (int t = 0; t < tile_.n_tokens; t += kNearTokens)
      for (int p = 0; p < n_panels_; p += kNearPanels)
        near_tokens(t, std::min(t + kNearTokens, tile_.n_tokens), p, std::min(p + kNearPanels, n_panels_));
    unroll<4>([&]<int i>() __attribute__((always_inline)) { store_sums<i>(slot(1)); });
    finish_part(slot(1), 0, 1);
  }

  void near_tokens(int t, int end, int first_panel, int end_panel) {
    for (; t < end; t += kSets * n_rows_) {
      const bool two = end - t > n_rows_;
      for (int p = first_panel; p < end_panel; ++p) {
        if (last_) prefetch_output<V>(tile_, p * kPanelRows, kPanelRows, t, std::min(kSets * n_rows_, end - t));
        if (two)
          multiply<2>(p, t);
        else
          multiply<1>(p, t);
        newest_ ^= 1;
      }
    }
  }

  // The sums of this microtile (0) and of the one before (1).
  Sums& slot(int i) { return sums_[newest_ ^ i]; }

  // The sums of panel p and S sets of tokens from t on, left in registers; those before leave to memory, and those
  // before them, which have arrived there, are finished. A last set of fewer tokens than the registers have rows begins
  // among those of the set before it.
  template <int S>
  void multiply(int p, int t) {
    const Panel& panel = panels_[p];
    Sums &sums = slot(0), &before = slot(1);
    const int last = tile_.n_tokens - n_rows_, base = std::min(t, last), second = std::min(t + n_rows_, last);
    const ActivationBlock256 *x = x_ + base, *x_second = x_ + second;
    sums.panel = p;
    sums.base = base;
    sums.begin = t - base;
    sums.end = (S == 2 ? second : base) + n_rows_ - base;
    sums.second = S == 2 ? second - base : kMatrixTokens;
    // Registers are stored one by one, each when it is needed: stored together they hold up the products, a quarter of
    // the time.
    if constexpr (F::kHasMin) {
      V::template load_tile<4>(x->bf16_sums, sizeof(ActivationBlock256));
      V::template load_tile<6>(panel.mins, 64);
      take_sums<0>(before);
      V::template dot_tiles_bf16<0, 4, 6>();
      if constexpr (S == 2) V::template load_tile<5>(x_second->bf16_sums, sizeof(ActivationBlock256));
      take_sums<2>(before);
      if constexpr (S == 2) V::template dot_tiles_bf16<2, 5, 6>();
    }
    unroll<kPieces>([&]<int i>() __attribute__((always_inline)) {
      V::template load_tile<4>(x->q + 64 * i, sizeof(ActivationBlock256));
      V::template load_tile<6>(panel.low[16 * i], 64);
      V::template load_tile<7>(panel.high[16 * i], 64);
      if constexpr (S == 2) V::template load_tile<5>(x_second->q + 64 * i, sizeof(ActivationBlock256));
      if constexpr (i == 0) take_sums<1>(before);
      V::template dot_tiles<1, 4, 7, true>();
      if constexpr (i == 0) take_sums<3>(before);
      if constexpr (S == 2) V::template dot_tiles<3, 5, 7, true>();
      if constexpr (i == 0) F::kHasMin ? take<0>(sums.mins) : take<0>(low_);
      V::template dot_tiles<0, 4, 6, false>();
      if constexpr (i == 0) F::kHasMin ? take<2>(sums.mins + sums.second) : take<2>(low_ + before.second);
      if constexpr (S == 2) V::template dot_tiles<2, 5, 6, false>();
      fetch_activations();
      if constexpr (i > 0) finish_part(before, i - 1, kPieces - 1);
    });
  }

  // Stores a register and empties it.
  template <int i>
  [[gnu::always_inline]] static void take(void* to) {
    V::template store_tile<i>(to);
    V::template zero_tile<i>();
  }
  template <int i>
  [[gnu::always_inline]] void take_sums(Sums& sums) {
    store_sums<i>(sums);
    V::template zero_tile<i>();
  }
  template <int i>
  [[gnu::always_inline]] void store_sums(Sums& sums) {
    V::template store_tile<i>((i % 2 ? high_ : low_) + (i < 2 ? 0 : sums.second));
  }

  // Asks for some of the next block's activations, all of them in as many steps as this block's products take.
  [[gnu::always_inline]] void fetch_activations() {
    constexpr int64_t kLines = kSets * kMatrixTokens * sizeof(ActivationBlock256) / 64 / kPieces;
    for (int64_t i = 0; i < kLines; i += n_panels_, next_x_ += 64) V::prefetch(next_x_);
  }

  // Part `part` of `n_parts` of the tokens.
  [[gnu::always_inline]] void finish_part(const Sums& sums, int part, int n_parts) {
    const int n = sums.end - sums.begin;
    const int begin = sums.begin + n * part / n_parts, end = sums.begin + n * (part + 1) / n_parts;
    if (first_)
      finish_rows<true>(sums, begin, end);
    else
      finish_rows<false>(sums, begin, end);
  }

  template <bool kFirst>
  [[gnu::always_inline]] void finish_rows(const Sums& sums, int begin, int end) {
    const Panel& panel = panels_[sums.panel];
    const Floats d = Floats::load(panel.d), minus_dmin = Floats::load(panel.minus_dmin);
    const int row = sums.panel * kPanelRows, token = sums.base + begin;
    const ActivationBlock256* x = x_ + token;
    float* out = tile_.out + tile_.sums.of(row, token);
    const int64_t stride = tile_.sums.token;
    for (int i = begin; i < end; ++i, ++x, out += stride) {
      const Bits high = V::template shift_left32<8>(V::load(high_[i]));
      const Floats sum = V::to_floats(V::add(V::load(low_[i]), high));
      add_block<F>(kFirst ? Floats::zero() : Floats::load(out), Floats::set(x->d), d, sum, minus_dmin,
                   Floats::load(sums.mins[i]))
          .store(out);
    }
    if (last_) finish<Floats>(tile_, row, kPanelRows, token, end - begin);
  }

  const LinearTile& tile_;
  const int n_rows_;  // of a tile register that holds tokens
  const int n_panels_;
  const ActivationBlock256* x_;  // of this block
  const std::byte* next_x_;      // of the next one, to be asked for
  bool first_, last_;            // this block
  int newest_ = 0;
  Sums sums_[2];
  alignas(64) int32_t low_[kSets * kMatrixTokens][16], high_[kSets * kMatrixTokens][16];
  Panel panels_[kPanels];
};

template <class V, class F>
void matrix_tile_256(const LinearTile& tile) {
  MatrixTile256<V, F>(tile).run();
}

}  // namespace tessera::kernels::cpu
