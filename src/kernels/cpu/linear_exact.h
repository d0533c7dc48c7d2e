// f32 activations times weights as f32: the exact arithmetic (arithmetic.md), sixteen lanes along k.
//
// F32, F16 and BF16 rows are read where they lie while there are few tokens. Otherwise, and for every packed format, a
// piece of a few rows is turned into f32 in the first cache, used for all tokens, and the lanes of the accumulators
// wait in memory for the next piece. Reference: ops::dot_exact.
#pragma once

#include "kernels/cpu/float_loads.h"
#include "kernels/cpu/linear_finish.h"
#include "kernels/cpu/linear_kernels.h"
#include "kernels/cpu/unroll.h"

namespace tessera::kernels::cpu {

// acc[r][t] += w[r] * x[t] over n values, lane by lane; a ragged end reads as zeros.
template <class V, class L, int R, int T>
[[gnu::always_inline]] inline void accumulate(const std::byte* const (&w)[R], const float* const (&x)[T], int64_t n,
                                              typename V::ExactFloats (&acc)[R][T]) {
  using Floats = typename V::ExactFloats;
  const auto step = [&](const std::byte* const(&wi)[R], const float* const(&xi)[T], int64_t i)
      __attribute__((always_inline)) {
    Floats wv[R];
    unroll<R>([&]<int r>() __attribute__((always_inline)) { wv[r] = L::load(wi[r] + i * L::kBytes); });
    unroll<T>([&]<int t>() __attribute__((always_inline)) {
      const Floats xv = Floats::load(xi[t] + i);
      unroll<R>([&]<int r>() __attribute__((always_inline)) { acc[r][t] = Floats::fma(wv[r], xv, acc[r][t]); });
    });
  };
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) step(w, x, i);
  if (i == n) return;
  alignas(64) std::byte w_end[R][64] = {};
  alignas(64) float x_end[T][16] = {};
  const std::byte* w_at[R];
  const float* x_at[T];
  for (int r = 0; r < R; ++r) {
    __builtin_memcpy(w_end[r], w[r] + i * L::kBytes, static_cast<size_t>((n - i) * L::kBytes));
    w_at[r] = w_end[r];
  }
  for (int t = 0; t < T; ++t) {
    __builtin_memcpy(x_end[t], x[t] + i, static_cast<size_t>(n - i) * sizeof(float));
    x_at[t] = x_end[t];
  }
  step(w_at, x_at, 0);
}

template <class V>
struct Exact {
  using Floats = typename V::ExactFloats;
  static constexpr int kRows = V::kExactRows, kTokens = V::kExactTokens;
  static constexpr int kDirectTokens = 4;    // up to here rows of floats are read in place
  static constexpr int kPieceRows = 8;       // 8 x 1024 f32: two thirds of a first-level cache
  static constexpr int kPieceValues = 1024;  // a multiple of every format's block
  static constexpr int kPieceTokens = 256;   // 8 x 256 accumulators of 64 bytes: an eighth of a second-level cache

  // Rows of floats.
  template <class L>
  static void run_floats(const LinearTile& tile) {
    if (tile.n_tokens > kDirectTokens) {
      return run_pieces(tile, [&](int row, int64_t begin, int64_t n, float* out) {
        const std::byte* from = row_of(tile, row) + begin * L::kBytes;
        int64_t i = 0;
        for (; i + 16 <= n; i += 16) L::load(from + i * L::kBytes).store(out + i);
        if (i == n) return;
        std::byte end[64] = {};
        __builtin_memcpy(end, from + i * L::kBytes, static_cast<size_t>((n - i) * L::kBytes));
        L::load(end).store(out + i);
      });
    }
    for (int t = 0; t < tile.n_tokens; ++t) {
      int r = 0;
      for (; r + kRows <= tile.n_rows; r += kRows) direct<L, kRows>(tile, r, t);
      for (; r < tile.n_rows; ++r) direct<L, 1>(tile, r, t);
    }
    finish<Floats>(tile, 0, tile.n_rows, 0, tile.n_tokens);
  }

  // Any other format.
  static void run_dequantized(const LinearTile& tile) {
    run_pieces(tile, [&](int row, int64_t begin, int64_t n, float* out) {
      const std::byte* from = row_of(tile, row);
      if (const quant::Format* format = tile.format)
        format->dequantize(from + begin / format->block_values * format->block_bytes, n, out);
      else
        dequantize(tile.groups, from, row, tile.x.k, begin, n, out);
    });
  }

 private:
  static const std::byte* row_of(const LinearTile& tile, int row) { return tile.weights + row * tile.row_bytes; }

  template <class L, int R>
  static void direct(const LinearTile& tile, int first_row, int t) {
    const std::byte* w[R];
    for (int r = 0; r < R; ++r) w[r] = row_of(tile, first_row + r);
    const float* const x[1] = {tile.x.floats + t * tile.x.float_stride};
    Floats acc[R][1];
    for (int r = 0; r < R; ++r) acc[r][0] = Floats::zero();
    accumulate<V, L, R, 1>(w, x, tile.x.k, acc);
    for (int r = 0; r < R; ++r) tile.out[t * kTileRows + first_row + r] = acc[r][0].sum();
  }

  template <class Fill>
  static void run_pieces(const LinearTile& tile, Fill fill) {
    for (int t = 0; t < tile.n_tokens; t += kPieceTokens) {
      const int n_tokens = tile.n_tokens - t < kPieceTokens ? tile.n_tokens - t : kPieceTokens;
      for (int r = 0; r < tile.n_rows; r += kPieceRows)
        run_rows(tile, r, tile.n_rows - r < kPieceRows ? tile.n_rows - r : kPieceRows, t, n_tokens, fill);
    }
    finish<Floats>(tile, 0, tile.n_rows, 0, tile.n_tokens);
  }

  template <class Fill>
  static void run_rows(const LinearTile& tile, int first_row, int n_rows, int first_token, int n_tokens, Fill fill) {
    alignas(64) float lanes[kPieceTokens][kPieceRows][16];
    alignas(64) float w[kPieceRows][kPieceValues];
    __builtin_memset(lanes, 0, sizeof(lanes[0]) * static_cast<size_t>(n_tokens));
    for (int64_t k = 0; k < tile.x.k; k += kPieceValues) {
      const int64_t n = tile.x.k - k < kPieceValues ? tile.x.k - k : kPieceValues;
      for (int r = 0; r < n_rows; ++r) fill(first_row + r, k, n, w[r]);
      int t = 0;
      for (; t + kTokens <= n_tokens; t += kTokens) piece<kTokens>(tile, w, n_rows, first_token + t, k, n, lanes + t);
      for (; t < n_tokens; ++t) piece<1>(tile, w, n_rows, first_token + t, k, n, lanes + t);
    }
    for (int t = 0; t < n_tokens; ++t)
      for (int r = 0; r < n_rows; ++r)
        tile.out[(first_token + t) * kTileRows + first_row + r] = Floats::load(lanes[t][r]).sum();
  }

  template <int T>
  static void piece(const LinearTile& tile, const float (&w)[kPieceRows][kPieceValues], int n_rows, int token,
                    int64_t begin, int64_t n, float (*lanes)[kPieceRows][16]) {
    const float* x[T];
    for (int t = 0; t < T; ++t) x[t] = tile.x.floats + (token + t) * tile.x.float_stride + begin;
    int r = 0;
    for (; r + kRows <= n_rows; r += kRows) microtile<kRows, T>(w + r, x, n, lanes, r);
    for (; r < n_rows; ++r) microtile<1, T>(w + r, x, n, lanes, r);
  }

  template <int R, int T>
  [[gnu::always_inline]] static void microtile(const float (*w)[kPieceValues], const float* const (&x)[T], int64_t n,
                                               float (*lanes)[kPieceRows][16], int first_row) {
    const std::byte* rows[R];
    for (int r = 0; r < R; ++r) rows[r] = reinterpret_cast<const std::byte*>(w[r]);
    Floats acc[R][T];
    for_each<R, T>([&]<int r, int t>()
                       __attribute__((always_inline)) { acc[r][t] = Floats::load(lanes[t][first_row + r]); });
    accumulate<V, LoadF32<Floats>, R, T>(rows, x, n, acc);
    for_each<R, T>([&]<int r, int t>() __attribute__((always_inline)) { acc[r][t].store(lanes[t][first_row + r]); });
  }
};

}  // namespace tessera::kernels::cpu
