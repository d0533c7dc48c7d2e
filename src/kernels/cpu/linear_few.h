// Few tokens: out[m, n] = sum_k w[n, k] x[m, k] over panels of V::kRows weight rows. Bytes moved: those of the weight.
//
// Codes are multiplied as they are unpacked, rows in lanes, with as many tokens as registers have room for. More take
// the panel, which lies in a cache by then, once more.
// Reference: linear_reference.cpp; arithmetic.md.
#pragma once

#include <optional>
#include <type_traits>

#include "kernels/cpu/linear_block.h"
#include "kernels/cpu/linear_finish.h"
#include "kernels/cpu/linear_group.h"
#include "kernels/cpu/linear_panel.h"
#include "kernels/cpu/linear_rows.h"
#include "kernels/cpu/unroll.h"

namespace tessera::kernels::cpu {

// What a panel's work is overlapped with: reading the next one, the thread's next tile after the last. Of neighbours:
// distant rows ask along themselves.
template <class V>
inline const std::byte* after_panel(const LinearTile& tile, PanelPlace place) {
  const int next = place.first + V::kRows;
  return next < tile.n_rows ? tile.weights + next * tile.row_bytes : tile.next;
}

template <class V, RowOrder order, class Rows>
inline Lanes<V> lanes_of_few(const Rows& rows, int64_t offset, int64_t n_bytes, const std::byte* ahead) {
  if constexpr (order == RowOrder::kDistant) return rows.distant_lanes(offset, n_bytes);
  return rows.lanes(offset, n_bytes, ahead);
}

// Asks for what lies at `offset` of the panel's rows a second time, spread over the codes.
template <class V, int k4, int64_t kBytes, class Rows>
inline void fetch_next_blocks(typename V::Bits& codes, const Rows& rows, int64_t offset) {
  constexpr int kEach = 64 / V::kRows;  // vectors of codes
  if constexpr (k4 % kEach == 0) fetch_near<V, kBytes>(codes, rows.row[k4 / kEach] + offset);
}

// Sums of the products of T tokens with groups of n_k4 vectors of codes: dwords of a whole group, or words (see
// linear_group.h) of as many vectors as words can hold.
template <class V, class F, int n_k4, int T>
class FewSums {
 public:
  using Bits = typename V::Bits;
  static constexpr bool kWords = V::kProducts == Products::kWords && !kWide<F>;

  // The codes of values 4 k4 .. 4 k4 + 3; x: the tokens' activations. When a sum is complete, take.template
  // operator()<t>(sum).
  template <int k4, class Activation, class Take>
  void add(Bits codes, const Activation* x, Take&& take) {
    unroll_flat<T>([&]<int t>() {
      const Bits q = V::load_splat4(x[t].q + 4 * k4);
      if constexpr (kWords) {
        const Bits pairs = V::multiply_pairs(codes, q);
        sums_[t] = k4 % kSteps == 0 ? pairs : V::add_words(sums_[t], pairs);
      } else {
        if constexpr (k4 % kSteps == 0) sums_[t] = start<k4>(x[t]);
        sums_[t] = V::template dot<kWide<F>>(sums_[t], codes, q);
      }
    });
    if constexpr (k4 % kSteps == kSteps - 1) unroll_flat<T>([&]<int t>() { take.template operator()<t>(sums_[t]); });
  }

 private:
  // Words may hold sums that are less their bias from the start; others lose it at the end of the block, in fewer
  // steps.
  template <int k4, class Activation>
  static Bits start(const Activation& x) {
    if constexpr (kNarrow<V, F>) return group_start<V, F, F::kGroup / 16>(x, k4 / 4);
    return V::zero();
  }

  static constexpr int kSteps = kWords ? WordSums<V, F>::steps_in_word(n_k4) : n_k4;
  Bits sums_[T];
};

// Formats of 256 values.
template <class V, class F, RowOrder order>
struct Few256 {
  using Bits = typename V::Bits;
  using Floats = typename V::Floats;
  using Activation = ActivationBlock256;
  static constexpr int64_t kBytes = kStepBytes<typename F::Block>;

  // T tokens from x on.
  template <int T>
  static void panel(const PanelRows<V, F>& rows, const ActivationView& x, int token, const std::byte* ahead,
                    Floats (&acc)[T]) {
    const Activation* of_block = x.blocks256 + token;
    for (int64_t b = 0; b < x.k / 256; ++b, of_block += x.m, ahead += V::kRows * kBytes)
      block(rows, b * kBytes, ahead, of_block, acc);
  }

 private:
  static constexpr int kGroups = 256 / F::kGroup;
  static constexpr bool kUnbiasAtEnd = kBiasLeft<V, F> != 0 && !kNarrow<V, F>;

  template <int T>
  static void block(const PanelRows<V, F>& rows, int64_t offset, const std::byte* ahead, const Activation* x,
                    Floats (&acc)[T]) {
    using Sums = FewSums<V, F, F::kGroup / 4, T>;
    if constexpr (kNarrow<V, F>)
      if (!GroupSums<V, F>::fit(x, T)) [[unlikely]]
        return wide_block(rows, offset, ahead, x, acc);
    const Lanes<V> lanes = lanes_of_few<V, order>(rows, offset, kBytes, ahead);
    const BlockParams256<V, F> params(lanes);
    Sums sums;
    Bits totals[T], weighed[T];
    unroll_flat<T>([&]<int t>() { totals[t] = weighed[t] = V::zero(); });
    constexpr bool kMinsFirst = F::kHasMin && T < kGroups / 4;  // sums of theirs take fewer registers than they do
    if constexpr (kMinsFirst) weigh(params.mins, x, weighed);
    for_each_code_vector<V, F>(lanes, [&]<int k4>(Bits codes) {
      constexpr int g = k4 / (F::kGroup / 4);
      fetch_next_blocks<V, k4, kBytes>(codes, rows, offset + kBytes);
      sums.template add<k4>(codes, x, [&]<int t>(Bits sum) {
        const Bits scale = GroupSums<V, F>::template scale<g % 4>(params.scales[g / 4]);
        if constexpr (Sums::kWords || kNarrow<V, F>)
          totals[t] = V::dot_words(totals[t], sum, scale);
        else
          totals[t] = add_up<T>(totals[t], V::multiply(sum, scale));
      });
    });
    if constexpr (F::kHasMin && !kMinsFirst) weigh(params.mins, x, weighed);
    if constexpr (kUnbiasAtEnd) weigh(params.scales, x, weighed);
    unroll_flat<T>([&]<int t>() {
      Floats min;
      if constexpr (F::kHasMin)
        min = V::to_floats(weighed[t]);
      else if constexpr (kUnbiasAtEnd)
        totals[t] = V::subtract(totals[t], V::template shift_left32<__builtin_ctz(kBiasLeft<V, F>)>(weighed[t]));
      acc[t] = add_block<F>(acc[t], Floats::set(x[t].d), params.d, V::to_floats(totals[t]), params.minus_dmin, min);
    });
  }

  // The same where words do not hold the sums.
  template <int T>
  [[gnu::noinline]] static void wide_block(const PanelRows<V, F>& rows, int64_t offset, const std::byte* ahead,
                                           const Activation* x, Floats (&acc)[T]) {
    Panel256<V, F> panel;
    panel.unpack(rows, offset, ahead);
    for (int t = 0; t < T; ++t) {
      alignas(64) float sums[V::kRows];
      acc[t].store(sums);
      Multiply256<V, F>::template run<1, 1>(&panel, 1, false, x + t, sums);
      acc[t] = Floats::load(sums);
    }
  }

  // Of several tokens, where it is written: g++ would keep some groups' products, spilled, and add them up in pairs.
  template <int T>
  static Bits add_up(Bits total, Bits product) {
    const Bits sum = V::add(total, product);
    return T == 1 ? sum : V::keep(sum);
  }

  // Per token: the sum over all groups of a byte of theirs times the sum of the activations.
  template <int T>
  static void weigh(const Bits (&bytes)[4], const Activation* x, Bits (&total)[T]) {
    unroll_flat<kGroups / 4>([&]<int c>() {
      const Bits low = V::low_pair_signed(bytes[c]), high = V::high_pair_signed(bytes[c]);
      unroll_flat<T>([&]<int t>() {
        const int16_t* sums = (F::kGroup == 32 ? x[t].sums32 : x[t].sums16) + 4 * c;
        total[t] = V::dot_words(total[t], low, V::load_splat4(sums));
        total[t] = V::dot_words(total[t], high, V::load_splat4(sums + 2));
      });
    });
  }
};

// Formats of fewer values, 256 of each row at a time. Where the last step has fewer, blocks of zeros add 0 to sums that
// are never -0: they begin at 0, and what is added are multiples of the smallest float.
template <class V, class F, RowOrder order>
struct Few32 {
  using Bits = typename V::Bits;
  using Floats = typename V::Floats;
  using Activation = ActivationBlock32x8;
  static constexpr int64_t kBytes = kStepBytes<typename F::Block>;

  template <int T>
  static void panel(const PanelRows<V, F>& rows, const ActivationView& x, int token, const std::byte* ahead,
                    Floats (&acc)[T]) {
    const Activation* of_step = x.blocks32 + token;
    const int64_t n_whole = x.k / 256 * 256;
    std::optional<PaddedTail<V, F>> tail;
    if (n_whole < x.k) tail.emplace(rows, n_whole, x.k);
    for (int64_t at = 0; at < x.k; at += 256, of_step += x.m, ahead += V::kRows * kBytes) {
      const bool whole = at < n_whole;
      step(whole ? rows : tail->rows, whole ? at / 256 * kBytes : 0, ahead, of_step, acc);
    }
  }

 private:
  static constexpr int kVectors = F::kGroup / 4;

  template <int T>
  static void step(const PanelRows<V, F>& rows, int64_t offset, const std::byte* ahead, const Activation* x,
                   Floats (&acc)[T]) {
    using Sums = FewSums<V, F, kVectors, T>;
    const Lanes<V> lanes = lanes_of_few<V, order>(rows, offset, kBytes, ahead);
    PanelScales32<V, F> scales(rows, offset, lanes);
    Sums sums;
    Bits of_group[T];
    for_each_code_vector<V, F>(lanes, [&]<int k4>(Bits codes) {
      constexpr int j = k4 / kVectors;
      fetch_next_blocks<V, k4, kBytes>(codes, rows, offset + kBytes);
      if constexpr (Sums::kWords && k4 % kVectors == 0) unroll_flat<T>([&]<int t>() { of_group[t] = V::zero(); });
      sums.template add<k4>(codes, x, [&]<int t>(Bits sum) {
        of_group[t] = Sums::kWords ? V::dot_words(of_group[t], sum, V::splat32(0x00010001)) : sum;
      });
      if constexpr (k4 % kVectors == kVectors - 1) add_groups<j>(scales, x, of_group, acc);
    });
  }

  // Group j of T tokens: from its sums to the accumulators.
  template <int j, int T>
  static void add_groups(PanelScales32<V, F>& scales, const Activation* x, const Bits (&sums)[T], Floats (&acc)[T]) {
    Floats d, m;
    scales.template load<j>(d, m);
    unroll_flat<T>([&]<int t>() {
      Bits sum = sums[t];
      constexpr int kParts = F::kGroup / 16;
      if constexpr (kBiasLeft<V, F> != 0) sum = V::add(sum, group_start<V, F, kParts>(x[t], kParts * j));
      acc[t] = add_small_block<V, F>(acc[t], x[t], j, d, m, sum);
    });
  }
};

// Panel after panel with the tokens of each, kTokens at a time. Driver::panel(rows, x, token, ahead, acc): the sums of
// as many tokens as `acc` has from `token` on.
template <class V, class F, RowOrder order, class Driver, int kTokens>
class FewTokens {
 public:
  static_assert(kTokens <= kBlocksBehind + 1);
  static void run(const LinearTile& tile) {
    for (int i = 0; i < PanelPlace::n_panels<V>(tile); ++i) {
      const auto place = PanelPlace::of<V, order>(tile, i);
      const PanelRows<V, F> rows(tile, place);
      const std::byte* ahead = after_panel<V>(tile, place);
      for (int t = 0; t < tile.n_tokens;) t += most_tokens<kTokens>(tile, rows, place, ahead, t);
    }
    finish<Floats>(tile, 0, tile.n_rows, 0, tile.n_tokens);
  }

 private:
  using Floats = typename V::Floats;

  // T tokens from t on or, if half as many are enough, these. Those past the last one are computed from whatever lies
  // there (ActivationView) and not kept. Returns how many.
  template <int T>
  static int most_tokens(const LinearTile& tile, const PanelRows<V, F>& rows, PanelPlace place, const std::byte* ahead,
                         int t) {
    if constexpr (T > 1)
      if (2 * (tile.n_tokens - t) <= T) return most_tokens<T / 2>(tile, rows, place, ahead, t);
    tokens<T>(tile, rows, place, ahead, t);
    return T;
  }
  template <int T>
  [[gnu::noinline, gnu::flatten]] static void tokens(const LinearTile& tile, const PanelRows<V, F>& rows,
                                                     PanelPlace place, const std::byte* ahead, int t) {
    Floats acc[T];
    for (Floats& of_token : acc) of_token = Floats::zero();
    Driver::panel(rows, tile.x, t, ahead, acc);
    for (int i = 0; i < T && t + i < tile.n_tokens; ++i) store(acc[i], tile, place, t + i);
  }
  static void store(Floats acc, const LinearTile& tile, PanelPlace place, int token) {
    if constexpr (order == RowOrder::kNeighbours) return acc.store(tile.out + tile.sums.of(place.first, token));
    float lanes[V::kRows];
    acc.store(lanes);
    for (int r = 0; r < V::kRows; ++r) tile.out[tile.sums.of(place.first + r * place.step, token)] = lanes[r];
  }
};

// Integer arithmetic.
template <class V, class F, RowOrder order>
using FewInt8 = std::conditional_t<F::Block::kValues == 256, Few256<V, F, order>, Few32<V, F, order>>;

}  // namespace tessera::kernels::cpu
