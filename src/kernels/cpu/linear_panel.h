// Many tokens: out[m, n] = sum_k w[n, k] x[m, k], one tile of rows at a time.
//
// Per block of 256 along k, the codes of the tile's rows are unpacked once into Panels that lie in the first cache:
// rows in lanes, four codes along k in each lane. A microkernel then multiplies them with all tokens of the tile, each
// dot instruction taking one vector of codes and four activations of one token repeated over the lanes. Sums stay in
// registers for a group, scaled sums for a block; the f32 accumulators lie in tile.out between blocks.
//
// Per 16 rows, 256 values and token: 64 dot instructions, and 8 (groups of 32) or 16 (of 16) products for the scales,
// half as many where two groups share one (linear_group.h).
// Reference: linear_reference.cpp; arithmetic.md.
#pragma once

#include "kernels/cpu/linear_block.h"
#include "kernels/cpu/linear_finish.h"
#include "kernels/cpu/linear_group.h"
#include "kernels/cpu/linear_requests.h"
#include "kernels/cpu/linear_rows.h"
#include "kernels/cpu/unroll.h"

namespace tessera::kernels::cpu {

// Codes of V::kRows rows and 256 values: vector k4 holds values 4 k4 .. 4 k4 + 3 of each row.
template <class V>
struct PanelCodes {
  alignas(64) unsigned char at[64][4 * V::kRows];

  template <class F>
  void unpack(const Lanes<V>& lanes) {
    typename V::Bits even;
    for_each_code_vector<V, F>(lanes, [&]<int k4>(typename V::Bits codes) {
      if constexpr (V::kProducts == Products::kTokenPairs) {
        if constexpr (k4 % 2 == 0) {
          even = codes;
        } else {
          V::interleave(even, codes);
          V::store(even, at[k4 - 1]);
          V::store(codes, at[k4]);
        }
      } else {
        V::store(codes, at[k4]);
      }
    });
  }
};

template <class V, class F>
struct Panel256 {
  using Sums = GroupSums<V, F>;
  static constexpr int kGroups = 256 / F::kGroup;
  PanelCodes<V> codes;
  alignas(64) int32_t scales[kGroups][V::kRows];  // in the form of GroupSums
  // Words of groups 2 j and 2 j + 1, a pair in each lane.
  alignas(64) int16_t scale_pairs[Sums::kScalePairs ? kGroups / 2 : 1][2 * V::kRows];
  alignas(64) int16_t mins[kGroups / 2][2 * V::kRows];
  alignas(64) float d[V::kRows], minus_dmin[V::kRows];

  static constexpr int64_t kBytes = sizeof(typename F::Block);
  using Requests = BlockRequests<V, kBytes>;
  // `ahead`: Requests::of_panel.
  [[gnu::noinline, gnu::flatten]] void unpack(const PanelRows<V, F>& rows, int64_t offset, const std::byte* ahead) {
    const Lanes<V> lanes = rows.lanes(offset, Requests::kPanelBytes, ahead);
    codes.template unpack<F>(lanes);
    const BlockParams256<V, F> params(lanes);
    unroll<kGroups / 4>([&]<int c>() {
      unroll<4>([&]<int byte>() { V::store(Sums::template scale<byte>(params.scales[c]), scales[4 * c + byte]); });
      if constexpr (Sums::kScalePairs) {
        V::store(V::low_pair_signed(params.scales[c]), scale_pairs[2 * c]);
        V::store(V::high_pair_signed(params.scales[c]), scale_pairs[2 * c + 1]);
      }
      if constexpr (F::kHasMin) {
        V::store(V::low_pair(params.mins[c]), mins[2 * c]);
        V::store(V::high_pair(params.mins[c]), mins[2 * c + 1]);
      }
    });
    params.d.store(d);
    if constexpr (F::kHasMin) params.minus_dmin.store(minus_dmin);
  }
};

template <class V, class F>
struct Multiply256 {
  using Bits = typename V::Bits;
  using Floats = typename V::Floats;
  using Panel = Panel256<V, F>;
  using Activation = ActivationBlock256;

  // One block of R panels and T tokens; x[t] and out + t kTileRows are the tokens'. `first`: out holds nothing yet.
  template <int R, int T>
  [[gnu::noinline, gnu::flatten]] static void run(const Panel* panels, int, bool first, const Activation* x,
                                                  float* out) {
    asm volatile("" : : : "memory");  // keeps the panels' scales out of registers that the sums need
    Bits scaled[R][T];
    for_each<R, T>([&]<int r, int t>() { scaled[r][t] = V::zero(); });
    Panel::Sums::scaled_groups(panels, x, scaled);
    // Rows at once: more sums of mins beside those of values do not fit the registers.
    constexpr int kRows = (F::kHasMin || Panel::Sums::kUnbiasAtEnd) && R % 2 == 0 ? 2 : R;
    unroll<R / kRows>(
        [&]<int i>() { finish<kRows>(panels + i * kRows, first, x, scaled + i * kRows, out + i * kRows * V::kRows); });
  }

 private:
  // The sums of a block's R panels and T tokens, with what makes values of them, go to `out`.
  template <int R, int T>
  static void finish(const Panel* panels, bool first, const Activation* x, Bits (*scaled)[T], float* out) {
    Bits sums[R][T], mins[R][T];
    if constexpr (Panel::Sums::kUnbiasAtEnd)
      dot_pairs([&](int r, int p) { return V::load(panels[r].scale_pairs[p]); }, x, sums);
    if constexpr (F::kHasMin) dot_pairs([&](int r, int p) { return V::load(panels[r].mins[p]); }, x, mins);
    for_each<R, T>([&]<int r, int t>() {
      float* to = out + t * kTileRows + r * V::kRows;
      if constexpr (Panel::Sums::kUnbiasAtEnd)
        scaled[r][t] = V::subtract(scaled[r][t], V::template shift_left32<__builtin_ctz(F::kBias)>(sums[r][t]));
      Floats minus_dmin, min;
      if constexpr (F::kHasMin) minus_dmin = Floats::load(panels[r].minus_dmin), min = V::to_floats(mins[r][t]);
      add_block<F>(first ? Floats::zero() : Floats::load(to), Floats::set(x[t].d), Floats::load(panels[r].d),
                   V::to_floats(scaled[r][t]), minus_dmin, min)
          .store(to);
    });
  }

  // Per row and token: the sum over all groups of a word of the panel times the token's sum. What is loaded serves all
  // rows or all tokens: else loads would take longer than the products.
  template <int R, int T, class Load>
  static void dot_pairs(const Load& load, const Activation* x, Bits (&total)[R][T]) {
    for_each<R, T>([&]<int r, int t>() { total[r][t] = V::zero(); });
    unroll<Panel::kGroups / 2>([&]<int p>() {
      Bits of_token[T];
      unroll<T>([&]<int t>() { of_token[t] = V::load_splat4((F::kGroup == 32 ? x[t].sums32 : x[t].sums16) + 2 * p); });
      unroll<R>([&]<int r>() {
        const Bits of_rows = load(r, p);
        unroll<T>([&]<int t>() { total[r][t] = V::dot_words(total[r][t], of_rows, of_token[t]); });
      });
    });
  }
};

template <class V, class F>
struct Panel32 {
  static constexpr int kGroups = 256 / F::kGroup;
  PanelCodes<V> codes;
  alignas(64) float d[kGroups][V::kRows];
  alignas(64) float m[kGroups][V::kRows];

  static constexpr int64_t kBytes = kStepBytes<typename F::Block>;
  using Requests = BlockRequests<V, kBytes>;
  // Meanwhile n_ahead bytes for each row are asked for.
  template <int64_t n_ahead>
  [[gnu::noinline, gnu::flatten]] void unpack(const PanelRows<V, F>& rows, int64_t offset, const std::byte* ahead) {
    const Lanes<V> lanes = rows.lanes(offset, n_ahead, ahead);
    codes.template unpack<F>(lanes);
    PanelScales32<V, F> scales(rows, offset, lanes);
    unroll<kGroups>([&]<int j>() {
      typename V::Floats of_d, of_m;
      scales.template load<j>(of_d, of_m);
      of_d.store(d[j]);
      if constexpr (F::kHasMin) of_m.store(m[j]);
    });
  }
};

template <class V, class F>
struct Multiply32 {
  using Bits = typename V::Bits;
  using Floats = typename V::Floats;
  using Panel = Panel32<V, F>;
  using Activation = ActivationBlock32x8;

  // Up to 256 values of R panels and T tokens.
  template <int R, int T>
  [[gnu::noinline, gnu::flatten]] static void run(const Panel* panels, int n_groups, bool first, const Activation* x,
                                                  float* out) {
    asm volatile("" : : : "memory");  // keeps the panels' scales out of registers that the sums need
    Floats acc[R][T];
    for_each<R, T>(
        [&]<int r, int t>() { acc[r][t] = first ? Floats::zero() : Floats::load(out + t * kTileRows + r * V::kRows); });
    constexpr int kVectors = F::kGroup / 4, kParts = F::kGroup / 16;
    for (int j = 0; j < n_groups; ++j) {
      Bits sums[R][T];
      GroupSums<V, F>::template group<kVectors, kParts>(panels, x, kVectors * j, kParts * j, sums);
      for_each<R, T>([&]<int r, int t>() {
        acc[r][t] = add_small_block<V, F>(acc[r][t], x[t], j, Floats::load(panels[r].d[j]),
                                          Floats::load(panels[r].m[j]), sums[r][t]);
      });
    }
    for_each<R, T>([&]<int r, int t>() { acc[r][t].store(out + t * kTileRows + r * V::kRows); });
  }
};

// Where along k a microtile stands.
struct Step {
  int n_groups;  // formats of 256 values do not look
  bool first, last;
};

// All tokens over one step's panels: whole microtiles, then what is left one size smaller at a time. In the last step
// each microtile's outputs leave at once, to lines asked for when it began: sent at the end of the tile, all tokens
// together, they miss the caches (their rows are often a power of two apart) and cost 5 % of prefill.
template <class V, class M>
struct TokenLoop {
  using Panel = typename M::Panel;
  const LinearTile& tile;
  const Panel* panels;
  Step step;
  const typename M::Activation* x;
  typename Panel::Requests requests;

  void run() {
    for (int p = 0; p < kPanels<V>; p += V::kRowVectors) run<V::kRowVectors, V::kTokens>(p, 0);
  }

 private:
  // R panels from p on, the tokens from t on.
  template <int R, int T>
  void run(int p, int t) {
    const int first_row = p * V::kRows;
    const auto fits = [&] {  // four tokens are two and two rather than three and one
      const int left = tile.n_tokens - t;
      return left >= T && (T <= 2 || left != T + 1);
    };
    for (; fits(); t += T) {
      requests.of_microtile();
      if (step.last) prefetch_output<V>(tile, first_row, R * V::kRows, t, T);
      M::template run<R, T>(panels + p, step.n_groups, step.first, x + t, tile.out + t * kTileRows + first_row);
      if (step.last) finish<typename V::Floats>(tile, first_row, R * V::kRows, t, T);
    }
    if constexpr (T > 1)
      if (t < tile.n_tokens) run<R, T - 1>(p, t);
  }
};

// Formats of 256 values. tile.sums are kSumsOfTokens, here and below.
template <class V, class F>
void panel_tile_256(const LinearTile& tile) {
  using Panel = Panel256<V, F>;
  const TilePanels<V, F, kPanels<V>> rows(tile);
  const ActivationBlock256* x = tile.x.blocks256;
  Panel panels[kPanels<V>];
  const int64_t n_blocks = tile.x.k / 256;
  const std::byte* ahead = tile.next;
  for (int64_t b = 0; b < n_blocks; ++b, x += tile.x.m, ahead += kTileRows * Panel::kBytes) {
    const typename Panel::Requests requests(ahead, tile.n_tokens);
    for (int p = 0; p < kPanels<V>; ++p) panels[p].unpack(rows.of[p], b * Panel::kBytes, requests.of_panel(p));
    const Step step{1, b == 0, b + 1 == n_blocks};
    TokenLoop<V, Multiply256<V, F>>{tile, panels, step, x, requests}.run();
  }
}

// Formats of fewer values.
template <class V, class F>
void panel_tile_32(const LinearTile& tile) {
  using Panel = Panel32<V, F>;
  const TilePanels<V, F, kPanels<V>> rows(tile);
  const ActivationBlock32x8* x = tile.x.blocks32;
  Panel panels[kPanels<V>];
  const int64_t k = tile.x.k;
  constexpr int64_t kAhead = Panel::Requests::kPanelBytes;
  const std::byte* ahead = tile.next;
  for (int64_t at = 0; at < k; at += 256, x += tile.x.m, ahead += kTileRows * Panel::kBytes) {
    const typename Panel::Requests requests(ahead, tile.n_tokens);
    const int n = k - at < 256 ? static_cast<int>(k - at) : 256;
    for (int p = 0; p < kPanels<V>; ++p) {
      if (n == 256)
        panels[p].template unpack<kAhead>(rows.of[p], at / 256 * Panel::kBytes, requests.of_panel(p));
      else
        panels[p].template unpack<kAhead>(PaddedTail<V, F>(rows.of[p], at, k).rows, 0, requests.of_panel(p));
    }
    const Step step{n / F::kGroup, at == 0, at + n == k};
    TokenLoop<V, Multiply32<V, F>>{tile, panels, step, x, requests}.run();
  }
}

}  // namespace tessera::kernels::cpu
