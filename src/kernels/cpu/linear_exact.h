// f32 activations times weights as f32: the exact arithmetic (arithmetic.md), sixteen lanes along k.
//
// Few tokens read rows where they lie, packed ones as linear_exact_few.h has it. For more, a piece of some rows is
// turned into f32 in the second cache and used for all tokens, a microtile of rows and tokens at a time; the lanes of
// the accumulators wait in memory for the next piece. Reference: ops::dot_exact.
#pragma once

#include "kernels/cpu/float_loads.h"
#include "kernels/cpu/linear_finish.h"
#include "kernels/cpu/linear_kernels.h"
#include "kernels/cpu/unroll.h"

namespace tessera::kernels::cpu {

// The values of a row, `kSize` elements each, after its last whole sixteen, then zeros.
template <int64_t kSize, typename T>
[[gnu::always_inline]] inline const T* padded_end(const T* row, int64_t n, T (&to)[16 * kSize]) {
  __builtin_memset(to, 0, sizeof(to));
  __builtin_memcpy(to, row + n / 16 * 16 * kSize, static_cast<size_t>(n % 16 * kSize) * sizeof(T));
  return to;
}

// acc[r][t] += w[r] * x[t] over n / 16 sixteens, in those lanes that an F has. kAhead: how many bytes ahead lines of w
// are asked for; 0: not at all.
template <class F, class L, int kAhead, int R, int T>
[[gnu::always_inline]] inline void multiply_add(const std::byte* const (&w)[R], const float* const (&x)[T], int64_t n,
                                                F (&acc)[R][T]) {
  for (int64_t i = 0; i + 16 <= n; i += 16) {
    F values[R];
    unroll<R>([&]<int r>() __attribute__((always_inline)) {
      values[r] = L::load(w[r] + i * L::kBytes);
      if constexpr (kAhead > 0)
        if (i * L::kBytes % 64 == 0) values[r].fetch(w[r] + i * L::kBytes + kAhead);
    });
    unroll<T>([&]<int t>() __attribute__((always_inline)) {
      const F of_token = F::load(x[t] + i);
      unroll<R>([&]<int r>() __attribute__((always_inline)) { acc[r][t] = F::fma(values[r], of_token, acc[r][t]); });
    });
  }
}

template <class V>
struct Exact {
  using Floats = typename V::ExactFloats;      // sixteen lanes
  using Register = typename Floats::Register;  // as many of them as fit one
  // Sums of sixteen lanes that registers hold.
  static constexpr int kAccumulators = Floats::kAccumulators * Register::kLanes / 16;
  // Up to so many tokens rows of floats are read in place, in so many streams, where there are accumulators for them,
  // each asked for a kilobyte ahead: without that a tenth slower, with eight streams no faster.
  static constexpr int kTokensInPlace = kAccumulators < 8 ? kAccumulators : 8, kStreams = 4, kAhead = 1024;
  // A microtile: each x is loaded for four rows, each w for six tokens (three with 16 registers).
  static constexpr int kRows = 4, kTokens = Floats::kAccumulators / kRows;
  // A piece: what a microtile reads of both operands takes 20 kB of a first-level cache. All rows of a tile take 128 kB
  // of a second-level one, and activations, which may come from the third, serve them all.
  static constexpr int kPieceValues = 512;
  // Lanes of a piece's sums, of a row and a token each: 512 kB.
  static constexpr int kSums = 8192;
  // Packed formats take so long to dequantize that a piece has to serve more tokens.
  static constexpr int kPackedPieceRows = kTileRows / 2;

  // Rows of floats. L: how sixteen of their values are loaded.
  template <class L>
  static void run_floats(const LinearTile& tile) {
    if (tile.n_tokens > kTokensInPlace) {
      return run_pieces<kTileRows>(tile, [&](int row, int64_t begin, int64_t n, float* out) {
        const std::byte* from = row_of(tile, row) + begin * L::kBytes;
        for (int64_t i = 0; i + 16 <= n; i += 16) L::load(from + i * L::kBytes).store(out + i);
        if (n % 16 == 0) return;
        std::byte end[16 * L::kBytes];
        L::load(padded_end<L::kBytes>(from, n, end)).store(out + n / 16 * 16);
      });
    }
    unroll<kTokensInPlace>([&]<int t>() {
      if (tile.n_tokens == t + 1) in_place<L, t + 1>(tile);
    });
    finish<Floats>(tile, 0, tile.n_rows, 0, tile.n_tokens);
  }

  // Any other format.
  static void run_dequantized(const LinearTile& tile) {
    run_pieces<kPackedPieceRows>(tile, [&](int row, int64_t begin, int64_t n, float* out) {
      const std::byte* from = row_of(tile, row);
      if (const quant::Format* format = tile.format)
        format->dequantize(from + begin / format->block_values * format->block_bytes, n, out);
      else
        dequantize(tile.groups, from, row, tile.x.k, begin, n, out);
    });
  }

 private:
  static const std::byte* row_of(const LinearTile& tile, int row) { return tile.weights + row * tile.row_bytes; }
  static const float* x_of(const LinearTile& tile, int token) { return tile.x.floats + token * tile.x.float_stride; }

  // Rows far apart are streams, which the processor reads ahead of.
  template <class L, int T>
  static void in_place(const LinearTile& tile) {
    constexpr int R = kAccumulators / T < kStreams ? kAccumulators / T : kStreams;
    const int step = tile.n_rows / R;
    for (int r = 0; r < step; ++r) rows_in_place<L, R, T>(tile, r, step);
    for (int r = step * R; r < tile.n_rows; ++r) rows_in_place<L, 1, T>(tile, r, 0);
  }

  template <class L, int R, int T>
  static void rows_in_place(const LinearTile& tile, int first, int step) {
    const int64_t k = tile.x.k;
    const std::byte* w[R];
    const float* x[T];
    for (int r = 0; r < R; ++r) w[r] = row_of(tile, first + r * step);
    for (int t = 0; t < T; ++t) x[t] = x_of(tile, t);
    Floats acc[R][T];
    for_each<R, T>([&]<int r, int t>() __attribute__((always_inline)) { acc[r][t] = Floats::zero(); });
    multiply_add<Floats, L, kAhead>(w, x, k, acc);
    if (k % 16 != 0) {
      std::byte w_end[R][16 * L::kBytes];
      float x_end[T][16];
      for (int r = 0; r < R; ++r) w[r] = padded_end<L::kBytes>(w[r], k, w_end[r]);
      for (int t = 0; t < T; ++t) x[t] = padded_end<1>(x[t], k, x_end[t]);
      multiply_add<Floats, L, 0>(w, x, 16, acc);
    }
    for_each<R, T>([&]<int r, int t>() __attribute__((always_inline)) {
      tile.out[t * kTileRows + first + r * step] = acc[r][t].sum();
    });
  }

  using Lanes = float[16];
  using Row = float[kPieceValues];
  struct Piece {
    const Row* w;
    int first_row, n_rows;
    int64_t begin, n;  // values
    bool first, last;  // of the rows'
  };

  // fill(row, begin, n, out): values [begin, begin + n) of a row as f32, zeros up to a multiple of sixteen.
  template <int kPieceRows, class Fill>
  static void run_pieces(const LinearTile& tile, Fill fill) {
    constexpr int kPieceTokens = kSums / kPieceRows;
    for (int t = 0; t < tile.n_tokens; t += kPieceTokens) {
      const int n_tokens = tile.n_tokens - t < kPieceTokens ? tile.n_tokens - t : kPieceTokens;
      for (int r = 0; r < tile.n_rows; r += kPieceRows)
        run_rows<kPieceRows>(tile, r, tile.n_rows - r < kPieceRows ? tile.n_rows - r : kPieceRows, t, n_tokens, fill);
    }
    finish<Floats>(tile, 0, tile.n_rows, 0, tile.n_tokens);
  }

  template <int kPieceRows, class Fill>
  static void run_rows(const LinearTile& tile, int first_row, int n_rows, int first_token, int n_tokens, Fill fill) {
    alignas(64) Lanes lanes[kSums];  // (n_tokens, n_rows)
    alignas(64) Row w[kPieceRows];
    const int64_t k = tile.x.k;
    for (int64_t begin = 0; begin < k; begin += kPieceValues) {
      const int64_t n = k - begin < kPieceValues ? k - begin : kPieceValues;
      for (int r = 0; r < n_rows; ++r) fill(first_row + r, begin, n, w[r]);
      const Piece piece{w, first_row, n_rows, begin, n, begin == 0, begin + n == k};
      for (int t = 0; t < n_tokens;)
        t += tokens<kTokens>(tile, piece, first_token + t, n_tokens - t, lanes + t * n_rows);
    }
  }

  // T of `left` tokens or, where there are fewer, half as many. Returns how many.
  template <int T>
  static int tokens(const LinearTile& tile, const Piece& piece, int token, int left, Lanes* lanes) {
    if constexpr (T > 1)
      if (left < T) return tokens<T / 2>(tile, piece, token, left, lanes);
    const float *x[T], *end[T];
    float padded[T][16];
    for (int t = 0; t < T; ++t) {
      x[t] = x_of(tile, token + t) + piece.begin;
      end[t] = padded_end<1>(x[t], piece.n, padded[t]);
    }
    const int64_t n = piece.n / 16 * 16;
    const auto rows = [&]<int R>(int r) __attribute__((always_inline)) {
      microtile<R, T>(piece.w + r, 0, x, n, piece.first, lanes + r, piece.n_rows);
      if (n < piece.n) microtile<R, T>(piece.w + r, n, end, 16, false, lanes + r, piece.n_rows);
    };
    int r = 0;
    for (; r + kRows <= piece.n_rows; r += kRows) rows.template operator()<kRows>(r);
    for (; r < piece.n_rows; ++r) rows.template operator()<1>(r);
    if (piece.last)
      for (int t = 0; t < T; ++t)
        store_sums(lanes + t * piece.n_rows, piece.n_rows, tile.out + (token + t) * kTileRows + piece.first_row);
    return T;
  }

  // n of the values from w's `begin` and from x on of R rows and T tokens, a register's lanes after the other's. A
  // token's sums lie `stride` after those of the token before.
  template <int R, int T>
  [[gnu::always_inline]] static void microtile(const Row* w, int64_t begin, const float* const (&x)[T], int64_t n,
                                               bool first, Lanes* lanes, int64_t stride) {
    for (int lane = 0; lane < 16; lane += Register::kLanes) {
      const std::byte* w_at[R];
      const float* x_at[T];
      for (int r = 0; r < R; ++r) w_at[r] = reinterpret_cast<const std::byte*>(w[r] + begin + lane);
      for (int t = 0; t < T; ++t) x_at[t] = x[t] + lane;
      Register acc[R][T];
      for_each<R, T>([&]<int r, int t>() __attribute__((always_inline)) {
        acc[r][t] = first ? Register::zero() : Register::load(lanes[t * stride + r] + lane);
      });
      multiply_add<Register, LoadF32<Register>, 0>(w_at, x_at, n, acc);
      for_each<R, T>([&]<int r, int t>()
                         __attribute__((always_inline)) { acc[r][t].store(lanes[t * stride + r] + lane); });
    }
  }

  // The lanes of a token's rows to its sums, those of sixteen rows together.
  static void store_sums(const Lanes* lanes, int n_rows, float* out) {
    for (int r = 0; r < n_rows; r += 16) {
      Floats of_row[16];
      for (int i = 0; i < 16; ++i) of_row[i] = r + i < n_rows ? Floats::load(lanes[r + i]) : Floats::zero();
      Floats::sums(of_row).store(out + r);
    }
  }
};

}  // namespace tessera::kernels::cpu
