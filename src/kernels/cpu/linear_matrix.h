// Many tokens on tile registers: out[m, n] = sum_k w[n, k] x[m, k], one tile of rows at a time.
//
// In steps of 256 values along k the tile's rows are unpacked into panels of sixteen. A microtile, one panel by one or
// two sets of sixteen tokens, is multiplied by tile products; meanwhile the vector registers turn the sums of the
// microtile before into values. Registers are stored one by one, each when it is needed again: stored together they
// hold up the products, a quarter of the time.
//
// S says what panels and sums are: linear_matrix_256.h, linear_matrix_32.h. Reference: linear_reference.cpp.
#pragma once

#include <algorithm>

#include "kernels/cpu/linear_block.h"
#include "kernels/cpu/linear_finish.h"

namespace tessera::kernels::cpu {

// Whose sums a microtile holds: row i is token base + i of the panel. Rows before `begin` have been finished before.
struct Microtile {
  int panel = 0, base = 0, begin = 0, end = 0;
  int second = kMatrixTokens;  // row of the second set's first token; without one, a row that nobody reads
  int slot = 0;                // of two that take turns
};

template <class V, class S>
class MatrixTile {
 public:
  explicit MatrixTile(const LinearTile& tile)
      : tile_(tile),
        n_rows_(std::min(tile.n_tokens, kMatrixTokens)),
        n_panels_((tile.n_rows + V::kRows - 1) / V::kRows) {}

  void run() {
    const TilePanels<V, typename S::Format, kPanels> rows(tile_);
    const int64_t n_steps = (tile_.x.k + 255) / 256;
    const std::byte* ahead = tile_.next;
    V::begin_tiles(n_rows_, S::kPieceValues);
    x_ = S::activations(tile_.x);
    for (int64_t step = 0; step < n_steps; ++step, x_ += tile_.x.m) {
      first_ = step == 0;
      last_ = step + 1 == n_steps;
      next_x_ = reinterpret_cast<const std::byte*>(last_ ? S::activations(tile_.x) : x_ + tile_.x.m);
      for (int p = 0; p < n_panels_; ++p, ahead += V::kRows * Panel::kBytes)
        panels_[p].unpack(rows.of[p], step, tile_.x.k, ahead);
      all_tokens();
    }
    V::end_tiles();
  }

 private:
  using Panel = typename S::Panel;
  using Activation = typename S::Activation;
  using Floats = typename V::Floats;
  static constexpr int kPanels = kMatrixTileRows / V::kRows;
  // What the first cache keeps while products go through it: 12 kB of activations, 18 kB of two panels.
  static constexpr int kNearTokens = 32, kNearPanels = 2;

  void all_tokens() {
    microtiles_[0] = microtiles_[1] = Microtile{};
    for (int t = 0; t < tile_.n_tokens; t += kNearTokens)
      for (int p = 0; p < n_panels_; p += kNearPanels)
        near_tokens(t, std::min(t + kNearTokens, tile_.n_tokens), p, std::min(p + kNearPanels, n_panels_));
    sums_.store_last(microtiles_[newest_]);
    finish_part(microtiles_[newest_], 0, 1);
  }

  void near_tokens(int t, int end, int first_panel, int end_panel) {
    for (; t < end; t += S::kSets * n_rows_) {
      const bool two = S::kSets == 2 && end - t > n_rows_;
      for (int p = first_panel; p < end_panel; ++p) {
        if (last_) prefetch_output<V>(tile_, p * V::kRows, V::kRows, t, std::min(S::kSets * n_rows_, end - t));
        if (two)
          multiply<2>(p, t);
        else
          multiply<1>(p, t);
      }
    }
  }

  // Panel p times n_sets sets of tokens from t on. A last set of fewer tokens than the registers have rows begins among
  // those of the set before it.
  template <int n_sets>
  [[gnu::noinline, gnu::flatten]] void multiply(int p, int t) {
    const int last = tile_.n_tokens - n_rows_, base = std::min(t, last), second = std::min(t + n_rows_, last);
    const Microtile& before = microtiles_[newest_];
    newest_ ^= 1;
    Microtile& mine = microtiles_[newest_];
    mine = {.panel = p,
            .base = base,
            .begin = t - base,
            .end = (n_sets == 2 ? second : base) + n_rows_ - base,
            .second = n_sets == 2 ? second - base : kMatrixTokens,
            .slot = newest_};
    sums_.template multiply<n_sets>(panels_[p], x_ + base, x_ + second, mine, before, [&](int part, int n_parts) {
      fetch_activations(n_parts);
      finish_part(before, part, n_parts);
    });
  }

  // Asks for some of the next step's activations, all of them in as many parts as this step's products take.
  void fetch_activations(int n_parts) {
    const int64_t n_lines = static_cast<int64_t>(S::kSets * kMatrixTokens * sizeof(Activation) / 64) / n_parts;
    for (int64_t i = 0; i < n_lines; i += n_panels_, next_x_ += 64) V::prefetch(next_x_);
  }

  // Part `part` of `n_parts` of a microtile's tokens get what this step adds to their values.
  void finish_part(const Microtile& of, int part, int n_parts) {
    const int n = of.end - of.begin, begin = of.begin + n * part / n_parts, end = of.begin + n * (part + 1) / n_parts;
    const int row = of.panel * V::kRows, token = of.base + begin;
    float* out = tile_.out + tile_.sums.of(row, token);
    if (first_)
      sums_.template finish<true>(panels_[of.panel], of, begin, end, x_ + token, out, tile_.sums.token);
    else
      sums_.template finish<false>(panels_[of.panel], of, begin, end, x_ + token, out, tile_.sums.token);
    if (last_) cpu::finish<Floats>(tile_, row, V::kRows, token, end - begin);
  }

  const LinearTile& tile_;
  const int n_rows_;  // of a tile register that holds tokens
  const int n_panels_;
  const Activation* x_;      // of this step
  const std::byte* next_x_;  // of the next one, to be asked for
  bool first_, last_;        // this step
  int newest_ = 0;           // of the microtiles
  Microtile microtiles_[2];
  S sums_;
  Panel panels_[kPanels];
};

}  // namespace tessera::kernels::cpu
