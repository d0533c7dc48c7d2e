// Many tokens: out[m, n] = sum_k w[n, k] x[m, k], one tile of rows at a time.
//
// Per block of 256 along k, the codes of the tile's rows are unpacked once into Panels that lie in the first cache:
// rows in lanes, four codes along k in each lane. A microkernel then multiplies them with all tokens of the tile, each
// dot instruction taking one vector of codes and four activations of one token repeated over the lanes. Sums stay in
// registers for a group, scaled sums for a block; the f32 accumulators lie in tile.out between blocks.
//
// Per 16 rows, 256 values and token: 64 dot instructions, and 8 (groups of 32) or 16 (of 16) multiplies for the scales.
// Reference: linear_reference.cpp; arithmetic.md.
#pragma once

#include "kernels/cpu/linear_rows.h"
#include "kernels/cpu/unpack/scales.h"
#include "kernels/cpu/unroll.h"

namespace tessera::kernels::cpu {

// Codes of sixteen rows and 256 values: vector k4 holds values 4 k4 .. 4 k4 + 3 of each row.
template <class V>
struct PanelCodes {
  alignas(64) unsigned char at[64][64];

  template <class F, int64_t kBytes>
  [[gnu::always_inline]] void unpack(const PanelRows<F>& rows, int64_t offset, int64_t ahead) {
    unroll<4>([&]<int i>() __attribute__((always_inline)) {
      typename V::Bits x[kPanelRows];
      unroll<kPanelRows>([&]<int r>() __attribute__((always_inline)) {
        prefetch_part<V, kBytes, i, 4>(rows.row[r] + ahead);
        x[r] = F::template codes<i>(rows.block(r, offset));
      });
      V::transpose(x);
      unroll<kPanelRows>([&]<int c>()
                             __attribute__((always_inline)) { V::store(x[c], at[32 * (c / 8) + 8 * i + c % 8]); });
    });
  }
};

template <class V, class F>
struct Panel256 {
  static constexpr int kGroups = 256 / F::kGroup;
  PanelCodes<V> codes;
  alignas(64) int32_t scales[kGroups][16];
  alignas(64) int16_t mins[kGroups / 2][32];  // of groups 2 j and 2 j + 1, a pair in each lane
  alignas(64) float d[16], dmin[16];

  // `ahead`: what to prefetch meanwhile, see offset_ahead.
  static constexpr int64_t kBytes = sizeof(typename F::Block);
  [[gnu::always_inline]] void unpack(const PanelRows<F>& rows, int64_t offset, int64_t ahead) {
    codes.template unpack<F, kBytes>(rows, offset, ahead);
    typename V::Bits s[4], m[4], ds[4];
    for (int z = 0; z < 4; ++z) {
      const Scales256<V> four = rows.scales(z, offset);
      s[z] = four.scales;
      m[z] = four.mins;
      ds[z] = four.d;
    }
    V::transpose_quarters(s);
    unroll<kGroups / 4>([&]<int c>() __attribute__((always_inline)) {
      V::store(V::template byte_signed<0>(s[c]), scales[4 * c]);
      V::store(V::template byte_signed<1>(s[c]), scales[4 * c + 1]);
      V::store(V::template byte_signed<2>(s[c]), scales[4 * c + 2]);
      V::store(V::template byte_signed<3>(s[c]), scales[4 * c + 3]);
    });
    const auto d_and_dmin = V::first_dwords(ds);
    V::f16_low(d_and_dmin).store(d);
    if constexpr (F::kHasMin) {
      V::f16_high(d_and_dmin).store(dmin);
      V::transpose_quarters(m);
      for (int c = 0; c < kGroups / 4; ++c) {
        V::store(V::low_pair(m[c]), mins[2 * c]);
        V::store(V::high_pair(m[c]), mins[2 * c + 1]);
      }
    }
  }
};

// The sums of T tokens and R panels over `n_k4` vectors of codes from `k4` on, starting from the tokens' own values.
template <class V, bool kWide, int R, int T>
[[gnu::always_inline]] inline void multiply_group(const PanelCodes<V>* const (&codes)[R], const int8_t* const (&q)[T],
                                                  int k4, int n_k4, typename V::Bits (&sums)[R][T]) {
  for (int k = k4; k < k4 + n_k4; ++k) {
    typename V::Bits w[R];
    unroll<R>([&]<int r>() __attribute__((always_inline)) { w[r] = V::load(codes[r]->at[k]); });
    unroll<T>([&]<int t>() __attribute__((always_inline)) {
      const auto x = V::load_splat4(q[t] + 4 * k);
      unroll<R>([&]<int r>()
                    __attribute__((always_inline)) { sums[r][t] = V::template dot<kWide>(sums[r][t], w[r], x); });
    });
  }
}

// What a group's sums start from: nothing, or minus the bias of the codes times the sum of the activations, given as
// `n_parts` dwords to add up.
template <class V, int kBias, int n_parts>
[[gnu::always_inline]] inline typename V::Bits group_start(const int32_t* minus_sums) {
  if constexpr (kBias == 0)
    return V::zero();
  else {
    auto sum = V::load_splat4(minus_sums);
    if constexpr (n_parts == 2) sum = V::add(sum, V::load_splat4(minus_sums + 1));
    return V::template shift_left32<__builtin_ctz(kBias)>(sum);
  }
}

template <class V, class F>
struct Multiply256 {
  using Bits = typename V::Bits;
  using Floats = typename V::Floats;
  using Panel = Panel256<V, F>;
  using Activation = ActivationBlock256;

  // One block of R panels and T tokens; x[t] and out + t kTileRows are the tokens'.
  template <int R, int T>
  static void run(const Panel* panels, int, const Activation* x, float* out) {
    const PanelCodes<V>* codes[R];
    const int8_t* q[T];
    unroll<R>([&]<int r>() __attribute__((always_inline)) { codes[r] = &panels[r].codes; });
    unroll<T>([&]<int t>() __attribute__((always_inline)) { q[t] = x[t].q; });
    Bits scaled[R][T];
    for_each<R, T>([&]<int r, int t>() __attribute__((always_inline)) { scaled[r][t] = V::zero(); });
    for (int g = 0; g < Panel::kGroups; ++g) {
      Bits sums[R][T];
      unroll<T>([&]<int t>() __attribute__((always_inline)) {
        const Bits start = group_start<V, F::kBias, F::kGroup / 16>(x[t].minus_sums + g * (F::kGroup / 16));
        unroll<R>([&]<int r>() __attribute__((always_inline)) { sums[r][t] = start; });
      });
      multiply_group<V, F::kWide, R, T>(codes, q, g * (F::kGroup / 4), F::kGroup / 4, sums);
      unroll<R>([&]<int r>() __attribute__((always_inline)) {
        const Bits scale = V::load(panels[r].scales[g]);
        unroll<T>([&]<int t>() __attribute__((always_inline)) {
          scaled[r][t] = V::add(scaled[r][t], V::multiply(sums[r][t], scale));
        });
      });
    }
    for_each<R, T>([&]<int r, int t>() __attribute__((always_inline)) {
      float* to = out + t * kTileRows + r * kPanelRows;
      Floats acc =
          Floats::fma(Floats::load(panels[r].d) * Floats::set(x[t].d), V::to_floats(scaled[r][t]), Floats::load(to));
      if constexpr (F::kHasMin) {
        Bits mins = V::zero();
        const int16_t* sums = F::kGroup == 32 ? x[t].sums32 : x[t].sums16;
        for (int p = 0; p < Panel::kGroups / 2; ++p)
          mins = V::dot_words(mins, V::load(panels[r].mins[p]), V::load_splat4(sums + 2 * p));
        acc = Floats::fma(Floats::load(panels[r].dmin) * Floats::set(-x[t].d), V::to_floats(mins), acc);
      }
      acc.store(to);
    });
  }
};

template <class V, class F>
struct Panel32 {
  PanelCodes<V> codes;
  alignas(64) float d[8][16];
  alignas(64) float m[8][16];

  static constexpr int64_t kBytes = 8 * sizeof(typename F::Block);
  [[gnu::always_inline]] void unpack(const PanelRows<F>& rows, int64_t offset, int64_t ahead) {
    codes.template unpack<F, kBytes>(rows, offset, ahead);
    const PanelScales32<V, F> scales(rows, offset);
    for (int j = 0; j < 8; ++j) {
      scales.d[j].store(d[j]);
      if constexpr (F::kHasMin) scales.m[j].store(m[j]);
    }
  }
};

template <class V, class F>
struct Multiply32 {
  using Bits = typename V::Bits;
  using Floats = typename V::Floats;
  using Panel = Panel32<V, F>;
  using Activation = ActivationBlock32x8;

  // Up to eight blocks of R panels and T tokens.
  template <int R, int T>
  static void run(const Panel* panels, int n_blocks, const Activation* x, float* out) {
    const PanelCodes<V>* codes[R];
    const int8_t* q[T];
    unroll<R>([&]<int r>() __attribute__((always_inline)) { codes[r] = &panels[r].codes; });
    unroll<T>([&]<int t>() __attribute__((always_inline)) { q[t] = x[t].q; });
    Floats acc[R][T];
    for_each<R, T>([&]<int r, int t>() __attribute__((always_inline)) {
      acc[r][t] = Floats::load(out + t * kTileRows + r * kPanelRows);
    });
    for (int j = 0; j < n_blocks; ++j) {
      Bits sums[R][T];
      unroll<T>([&]<int t>() __attribute__((always_inline)) {
        const Bits start = group_start<V, F::kBias, 1>(x[t].minus_sums + j);
        unroll<R>([&]<int r>() __attribute__((always_inline)) { sums[r][t] = start; });
      });
      multiply_group<V, F::kWide, R, T>(codes, q, 8 * j, 8, sums);
      for_each<R, T>([&]<int r, int t>() __attribute__((always_inline)) {
        acc[r][t] =
            Floats::fma(Floats::load(panels[r].d[j]) * Floats::set(x[t].d[j]), V::to_floats(sums[r][t]), acc[r][t]);
        if constexpr (F::kHasMin)
          acc[r][t] = Floats::fma(Floats::load(panels[r].m[j]) * Floats::set(-x[t].d[j]),
                                  V::to_floats(V::load_splat4(x[t].minus_sums + j)), acc[r][t]);
      });
    }
    for_each<R, T>([&]<int r, int t>()
                       __attribute__((always_inline)) { acc[r][t].store(out + t * kTileRows + r * kPanelRows); });
  }
};

// All tokens over one block's panels: whole microtiles, then what is left one size smaller at a time.
template <class V, class M>
struct TokenLoop {
  template <int R, int T>
  static void run(const typename M::Panel* panels, int n_blocks, const typename M::Activation* x, float* out, int n) {
    for (; n >= T; n -= T, x += T, out += T * kTileRows) M::template run<R, T>(panels, n_blocks, x, out);
    if constexpr (T > 1)
      if (n > 0) run<R, T - 1>(panels, n_blocks, x, out, n);
  }
  static void run_all(const typename M::Panel* panels, int n_blocks, const typename M::Activation* x, float* out,
                      int n) {
    for (int p = 0; p < kTileRows / kPanelRows; p += V::kRowVectors)
      run<V::kRowVectors, V::kTokens>(panels + p, n_blocks, x, out + p * kPanelRows, n);
  }
};

inline constexpr int kPanels = kTileRows / kPanelRows;

[[gnu::always_inline]] inline void clear(float* out, int n_tokens) {
  __builtin_memset(out, 0, sizeof(float) * static_cast<size_t>(n_tokens) * kTileRows);
}

// Formats of 256 values.
template <class V, class F>
void panel_tile_256(const LinearTile& tile) {
  using Panel = Panel256<V, F>;
  const PanelRows<F> rows[kPanels] = {{tile, 0}, {tile, kPanelRows}};
  const ActivationBlock256* x = tile.x.blocks256;
  clear(tile.out, tile.n_tokens);
  Panel panels[kPanels];
  const int64_t n_blocks = tile.x.k / 256;
  for (int64_t b = 0; b < n_blocks; ++b, x += tile.x.m) {
    const int64_t ahead = offset_ahead(b, n_blocks, Panel::kBytes, kTileRows * tile.row_bytes);
    for (int p = 0; p < kPanels; ++p) panels[p].unpack(rows[p], b * Panel::kBytes, ahead);
    TokenLoop<V, Multiply256<V, F>>::run_all(panels, 1, x, tile.out, tile.n_tokens);
  }
}

// Formats of 32 values.
template <class V, class F>
void panel_tile_32(const LinearTile& tile) {
  using Panel = Panel32<V, F>;
  const PanelRows<F> rows[kPanels] = {{tile, 0}, {tile, kPanelRows}};
  const ActivationBlock32x8* x = tile.x.blocks32;
  clear(tile.out, tile.n_tokens);
  Panel panels[kPanels];
  const int64_t n_blocks = tile.x.k / 32;
  for (int64_t b = 0; b < n_blocks; b += 8, x += tile.x.m) {
    const int n = n_blocks - b < 8 ? static_cast<int>(n_blocks - b) : 8;
    const int64_t ahead = offset_ahead(b / 8, n_blocks / 8, Panel::kBytes, kTileRows * tile.row_bytes);
    for (int p = 0; p < kPanels; ++p) {
      if (n == 8)
        panels[p].unpack(rows[p], b / 8 * Panel::kBytes, ahead);
      else
        panels[p].unpack(PaddedTail<F>(rows[p], b, n_blocks).rows, 0, 0);
    }
    TokenLoop<V, Multiply32<V, F>>::run_all(panels, n, x, tile.out, tile.n_tokens);
  }
}

}  // namespace tessera::kernels::cpu
