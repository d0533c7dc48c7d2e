// One token: out[n] = sum_k w[n, k] x[k] over panels of sixteen weight rows. Bytes moved: those of the weight.
//
// Codes meet the activations in registers as they lie in the file, 64 at a time along k. The sums of a block's sixteen
// rows are then added up across their lanes by one transposing tree, which puts the rows into lanes for the f32 step.
// Reference: linear_reference.cpp; arithmetic.md.
#pragma once

#include "kernels/cpu/linear_finish.h"
#include "kernels/cpu/linear_rows.h"
#include "kernels/cpu/unpack/scales.h"
#include "kernels/cpu/unroll.h"

namespace tessera::kernels::cpu {

// What a panel's work is overlapped with: reading the next one, the thread's next tile after the last.
[[gnu::always_inline]] inline const std::byte* after_panel(const LinearTile& tile, int first) {
  const int next = first + kPanelRows;
  return next < tile.n_rows ? tile.weights + next * tile.row_bytes : tile.next;
}

// Code vector i holds values 32 i .. and 128 + 32 i ..; the activations to go with it.
template <class V>
struct TokenCodes {
  typename V::Bits x[4];
  [[gnu::always_inline]] explicit TokenCodes(const int8_t* q) {
    unroll<4>([&]<int i>() __attribute__((always_inline)) { x[i] = V::load_halves(q + 32 * i, q + 128 + 32 * i); });
  }
};

// Formats of 256 values.
template <class V, class F>
struct Decode256 {
  using Bits = typename V::Bits;
  using Floats = typename V::Floats;
  using Block = typename F::Block;
  static constexpr int64_t kBytes = sizeof(Block);

  static void run(const LinearTile& tile) {
    const int64_t n_blocks = tile.x.k / 256, stride = tile.x.m;
    for (int first = 0; first < tile.n_rows; first += kPanelRows) {
      const PanelRows<F> rows(tile, first);
      const ActivationBlock256* x = tile.x.blocks256;
      const std::byte* ahead = after_panel(tile, first);
      Floats acc = V::Floats::zero();
      for (int64_t b = 0; b < n_blocks; ++b, x += stride, ahead += kPanelRows * kBytes)
        acc = step(rows, b * kBytes, ahead, *x, acc);
      acc.store(tile.out + first);
    }
    finish<Floats>(tile, 0, tile.n_rows, 0, 1);
  }

 private:
  // The scales of four rows as words, and what follows from them and the activations' sums: one dword vector per four
  // rows whose quarters add up to sum_j scale_j sum_j(q), the same for the mins.
  struct FourRows {
    Bits low, high, scaled_sums, mins;
    [[gnu::always_inline]] FourRows(const Scales256<V>& s, const ActivationBlock256& x) {
      low = F::kSigned ? V::low_words_signed(s.scales) : V::low_words(s.scales);
      if constexpr (F::kGroup == 16) high = F::kSigned ? V::high_words_signed(s.scales) : V::high_words(s.scales);
      if constexpr (kBiasLeft<V, F> != 0) scaled_sums = weigh(low, high, x);
      if constexpr (F::kHasMin) mins = weigh(V::low_words(s.mins), V::high_words(s.mins), x);
    }
    [[gnu::always_inline]] static Bits weigh(Bits low_words, Bits high_words, const ActivationBlock256& x) {
      if constexpr (F::kGroup == 32) return V::dot_words(V::zero(), low_words, V::load_splat16(x.sums32));
      const Bits half = V::dot_words(V::zero(), low_words, V::load_splat16(x.sums16));
      return V::dot_words(half, high_words, V::load_splat16(x.sums16 + 8));
    }
    template <int quarter, int i>
    [[gnu::always_inline]] Bits spread() const {
      if constexpr (F::kGroup == 32)
        return V::template spread_32<quarter, i>(low);
      else
        return V::template spread_16<quarter, i>(low, high);
    }
  };

  [[gnu::always_inline]] static Floats step(const PanelRows<F>& rows, int64_t offset, const std::byte* ahead,
                                            const ActivationBlock256& x, Floats acc) {
    const TokenCodes<V> token(x.q);
    Bits dots[kPanelRows], d[4], scaled_sums[4], mins[4];
    unroll<4>([&]<int z>() __attribute__((always_inline)) {
      const Scales256<V> scales = rows.scales(z, offset);
      const FourRows four(scales, x);
      d[z] = scales.d;
      if constexpr (kBiasLeft<V, F> != 0) scaled_sums[z] = four.scaled_sums;
      if constexpr (F::kHasMin) mins[z] = four.mins;
      unroll<4>([&]<int quarter>() __attribute__((always_inline)) {
        constexpr int r = 4 * quarter + z;
        const Block* block = rows.block(r, offset);
        dots[r] = V::zero();
        unroll<4>([&]<int i>() __attribute__((always_inline)) {
          dots[r] = V::template dot_scaled<kWide<F>>(dots[r], F::template codes<i>(block), token.x[i],
                                                     four.template spread<quarter, i>());
        });
        fetch_part<V, kPanelRows * kBytes, 4 * z + quarter, kPanelRows>(dots[r], ahead);
      });
    });
    Bits sum = V::sums(dots);
    if constexpr (kBiasLeft<V, F> != 0)
      sum = V::subtract(sum, V::template shift_left32<__builtin_ctz(kBiasLeft<V, F>)>(V::quarter_sums(scaled_sums)));
    const Bits d_and_dmin = V::first_dwords(d);
    if constexpr (F::kHasMin) {
      const Floats minus = (Floats::zero() - V::f16_high(d_and_dmin)) * V::to_floats(V::quarter_sums(mins));
      return Floats::fma(Floats::set(x.d), Floats::fma(V::f16_low(d_and_dmin), V::to_floats(sum), minus), acc);
    } else {
      return Floats::fma(V::f16_low(d_and_dmin) * Floats::set(x.d), V::to_floats(sum), acc);
    }
  }
};

// Formats of 32 values, eight blocks of each row at a time.
template <class V, class F>
struct Decode32 {
  using Bits = typename V::Bits;
  using Floats = typename V::Floats;
  using Block = typename F::Block;
  static constexpr int64_t kBytes = 8 * sizeof(Block);  // of a step

  static void run(const LinearTile& tile) {
    const int64_t n_blocks = tile.x.k / 32, stride = tile.x.m;
    for (int first = 0; first < tile.n_rows; first += kPanelRows) {
      const PanelRows<F> rows(tile, first);
      const ActivationBlock32x8* x = tile.x.blocks32;
      const std::byte* ahead = after_panel(tile, first);
      Floats acc = V::Floats::zero();
      int64_t b = 0;
      for (; b + 8 <= n_blocks; b += 8, x += stride, ahead += kPanelRows * kBytes)
        acc = step(rows, b / 8 * kBytes, 8, ahead, *x, acc);
      if (b < n_blocks) {
        const PaddedTail<F> tail(rows, b, n_blocks);
        acc = step(tail.rows, 0, static_cast<int>(n_blocks - b), ahead, *x, acc);
      }
      acc.store(tile.out + first);
    }
    finish<Floats>(tile, 0, tile.n_rows, 0, 1);
  }

 private:
  [[gnu::always_inline]] static Floats step(const PanelRows<F>& rows, int64_t offset, int n_blocks,
                                            const std::byte* ahead, const ActivationBlock32x8& x, Floats acc) {
    const TokenCodes<V> token(x.q);
    Bits sums[8];  // by block; lanes are rows
    unroll<4>([&]<int i>() __attribute__((always_inline)) {
      Bits dots[kPanelRows];
      unroll<kPanelRows>([&]<int r>() __attribute__((always_inline)) {
        dots[r] = V::template dot<kWide<F>>(V::zero(), F::template codes<i>(rows.block(r, offset)), token.x[i]);
        fetch_part<V, kPanelRows * kBytes, i * kPanelRows + r, 4 * kPanelRows>(dots[r], ahead);
      });
      V::half_sums(dots, sums[i], sums[i + 4]);
    });
    const PanelScales32<V, F> scales(rows, offset);
    for (int j = 0; j < n_blocks; ++j) {
      const Bits minus_sum = V::load_splat4(x.minus_sums + j);
      if constexpr (kBiasLeft<V, F> != 0)
        sums[j] = V::add(sums[j], V::template shift_left32<__builtin_ctz(kBiasLeft<V, F>)>(minus_sum));
      acc = Floats::fma(scales.d[j] * Floats::set(x.d[j]), V::to_floats(sums[j]), acc);
      if constexpr (F::kHasMin) acc = Floats::fma(scales.m[j] * Floats::set(-x.d[j]), V::to_floats(minus_sum), acc);
    }
    return acc;
  }
};

}  // namespace tessera::kernels::cpu
