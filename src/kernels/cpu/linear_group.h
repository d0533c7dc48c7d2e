// The innermost sums of prefill: codes of R panels times T tokens over the values that share a scale.
//
// Where a dot instruction sums four products into a dword (AVX-512 VNNI), sums are dwords, start from minus the bias of
// the codes, and are multiplied by the scale at the group's end: where they fit words, by what adds up word products.
// Where a matrix instruction takes two rows and two tokens (AArch64 i8mm), codes and tokens lie in pairs and the sums
// are separated at the group's end. Where products are summed in pairs of words (AVX2), words are added up as far as
// they can hold it, and the multiply-add that widens them takes the scale along for nothing.
#pragma once

#include <algorithm>
#include <type_traits>

#include "kernels/cpu/activations.h"
#include "kernels/cpu/products.h"
#include "kernels/cpu/unpack/scales.h"
#include "kernels/cpu/unroll.h"

namespace tessera::kernels::cpu {

// `factor` times the sum of the activations of one part, 16 of them, or of two from an even one on.
template <class V, int n_parts, int factor, class Activation>
[[gnu::always_inline]] inline typename V::Bits sum_of_parts(const Activation& x, int part) {
  constexpr uint32_t kWord = static_cast<uint16_t>(factor);
  const uint32_t of_pair = n_parts == 2 ? kWord << 16 | kWord : part % 2 ? kWord << 16 : kWord;
  return V::dot_words(V::zero(), V::load_splat4(x.sums16 + part / 2 * 2), V::splat32(of_pair));
}

// What a group's sums start from: nothing, or minus the bias of the codes times the sum of the activations, that of
// `n_parts` parts from `part` on.
template <class V, class F, int n_parts, class Activation>
[[gnu::always_inline]] inline typename V::Bits group_start(const Activation& x, int part) {
  if constexpr (kBiasLeft<V, F> == 0) {
    return V::zero();
  } else if constexpr (!V::kReadsMinusSums || std::is_same_v<Activation, ActivationBlock32x8>) {
    return sum_of_parts<V, n_parts, -F::kBias>(x, part);
  } else {
    auto sum = V::load_splat4(x.minus_sums + part);
    if constexpr (n_parts == 2) sum = V::add(sum, V::load_splat4(x.minus_sums + part + 1));
    return V::template shift_left32<__builtin_ctz(kBiasLeft<V, F>)>(sum);
  }
}

// f.template operator()<r, t>(codes, x) for `n_k4` vectors of codes from panels[r].codes.at[k4] on. Unrolled: left as a
// loop, g++ moves each sum twice per step. With few registers eight steps are slower than four.
template <class V, int n_k4, int R, int T, class Panel, class Activation, class Multiply>
[[gnu::always_inline]] inline void for_each_product(const Panel* panels, const Activation* x, int k4, Multiply&& f) {
  constexpr int kMost = V::kRegisters == 32 ? 8 : 4, kUnrolled = n_k4 < kMost ? n_k4 : kMost;
  for (const int end = k4 + n_k4; k4 < end; k4 += kUnrolled) {
    unroll<kUnrolled>([&]<int k>() __attribute__((always_inline)) {
      typename V::Bits w[R];
      unroll<R>([&]<int r>() __attribute__((always_inline)) {
        // g++ would load it again for each token, and run out of loads before multiplies.
        w[r] = V::keep(V::load(panels[r].codes.at[k4 + k]));
      });
      unroll<T>([&]<int t>() __attribute__((always_inline)) {
        const auto q = V::load_splat4(x[t].q + 4 * (k4 + k));
        unroll<R>([&]<int r>() __attribute__((always_inline)) { f.template operator()<r, t>(w[r], q); });
      });
    });
  }
}

// Where all sums of a group start from.
template <class V, class F, int n_parts, int R, int T, class Activation>
[[gnu::always_inline]] inline void start_group(const Activation* x, int part, typename V::Bits (&sums)[R][T]) {
  unroll<T>([&]<int t>() __attribute__((always_inline)) {
    const auto start = group_start<V, F, n_parts>(x[t], part);
    unroll<R>([&]<int r>() __attribute__((always_inline)) { sums[r][t] = start; });
  });
}

// What sums of dwords have in common; Sums::group makes them.
template <class V, class F, class Sums>
struct ScaledDwords {
  using Bits = typename V::Bits;
  static constexpr bool kUnbiasAtEnd = false, kScalePairs = false;

  // Of a group, in the form in which it multiplies its sums.
  template <int byte>
  static Bits scale(Bits scales) {
    return V::template byte_signed<byte>(scales);
  }

  // scaled += scale of each group times its sums.
  template <int R, int T, class Panel>
  [[gnu::always_inline]] static void scaled_groups(const Panel* panels, const ActivationBlock256* x,
                                                   Bits (&scaled)[R][T]) {
    add_groups(
        panels, x, [](Bits total, Bits sum, Bits scale) { return V::add(total, V::multiply(sum, scale)); }, scaled);
  }

 protected:
  // add(total, sum, scale): total + sum * scale.
  template <int R, int T, class Panel, class Add>
  [[gnu::always_inline]] static void add_groups(const Panel* panels, const ActivationBlock256* x, const Add& add,
                                                Bits (&scaled)[R][T]) {
    for (int g = 0; g < Panel::kGroups; ++g) {
      Bits sums[R][T];
      Sums::template group<F::kGroup / 4, F::kGroup / 16>(panels, x, g * (F::kGroup / 4), g * (F::kGroup / 16), sums);
      unroll<R>([&]<int r>() __attribute__((always_inline)) {
        const Bits scale = V::load(panels[r].scales[g]);
        unroll<T>([&]<int t>() __attribute__((always_inline)) { scaled[r][t] = add(scaled[r][t], sums[r][t], scale); });
      });
    }
  }
};

template <class V, class F>
struct DwordSums : ScaledDwords<V, F, DwordSums<V, F>> {
  using Bits = typename V::Bits;

  // sums = sum of (code - bias) q over n_k4 vectors of codes.
  template <int n_k4, int n_parts, int R, int T, class Panel, class Activation>
  [[gnu::always_inline]] static void group(const Panel* panels, const Activation* x, int k4, int part,
                                           Bits (&sums)[R][T]) {
    start_group<V, F, n_parts>(x, part, sums);
    for_each_product<V, n_k4, R, T>(
        panels, x, k4, [&]<int r, int t>(Bits w, Bits q) __attribute__((always_inline)) {
          sums[r][t] = V::template dot<kWide<F>>(sums[r][t], w, q);
        });
  }
};

// A word product with a scale whose upper word is 0 multiplies a sum and adds it up at once. That holds where sums fit
// words, which the activations decide: a block that could exceed them takes the instructions of DwordSums. The sums are
// exact either way.
template <class V, class F>
struct NarrowSums : DwordSums<V, F> {
  using Bits = typename V::Bits;

  // The lower word of each dword. Through the pairs that sums of mins or biases take anyway.
  template <int byte>
  static Bits scale(Bits scales) {
    Bits pair;
    if constexpr (F::kHasMin)  // scales are not negative
      pair = byte / 2 ? V::high_pair(scales) : V::low_pair(scales);
    else
      pair = byte / 2 ? V::high_pair_signed(scales) : V::low_pair_signed(scales);
    return byte % 2 ? V::template shift_right32<16>(pair) : pair & V::splat32(0xffff);
  }

  template <int R, int T, class Panel>
  [[gnu::always_inline]] static void scaled_groups(const Panel* panels, const ActivationBlock256* x,
                                                   Bits (&scaled)[R][T]) {
    if (fit(x, T))
      NarrowSums::add_groups(
          panels, x, [](Bits total, Bits sum, Bits scale) { return V::dot_words(total, sum, scale); }, scaled);
    else
      wide_groups(panels, x, scaled);
  }

  // Whether words hold the sums of these tokens. Codes less their bias lie in [-kBias, kMaxCode - kBias].
  static bool fit(const ActivationBlock256* x, int n_tokens) {
    constexpr int kMost = std::max(F::kBias, F::kMaxCode - F::kBias);
    int most = 0;
    for (int t = 0; t < n_tokens; ++t)
      most = std::max<int>(most, F::kBias == 0 ? x[t].most_one_sided32 : x[t].most_magnitude16);
    return most * (F::kBias == 0 ? kMost : kMost * (F::kGroup / 16)) <= 32767;
  }

 protected:
  template <int R, int T, class Panel>
  [[gnu::always_inline]] static void wide_groups(const Panel* panels, const ActivationBlock256* x,
                                                 Bits (&scaled)[R][T]) {
    const auto add = [](Bits total, Bits sum, Bits scale) {
      return V::add(total, V::multiply(sum, V::template byte_signed<0>(scale)));
    };
    NarrowSums::add_groups(panels, x, add, scaled);
  }
};

// Two groups' sums in one dword, the odd group's in the upper word, so that one word product takes both scales.
template <class V, class F>
struct JoinedSums : NarrowSums<V, F> {
  using Bits = typename V::Bits;
  static constexpr bool kScalePairs = true;

  template <int R, int T, class Panel>
  [[gnu::always_inline]] static void scaled_groups(const Panel* panels, const ActivationBlock256* x,
                                                   Bits (&scaled)[R][T]) {
    if (!JoinedSums::fit(x, T)) return JoinedSums::wide_groups(panels, x, scaled);
    for (int pair = 0; pair < Panel::kGroups / 2; ++pair) add_pair(panels, x, pair, scaled);
  }

 private:
  template <int R, int T, class Panel>
  [[gnu::always_inline]] static void add_pair(const Panel* panels, const ActivationBlock256* x, int pair,
                                              Bits (&scaled)[R][T]) {
    constexpr int kVectors = F::kGroup / 4, kParts = F::kGroup / 16;
    Bits odd[R][T], sums[R][T];
    JoinedSums::template group<kVectors, kParts>(panels, x, (2 * pair + 1) * kVectors, (2 * pair + 1) * kParts, odd);
    for_each<R, T>([&]<int r, int t>()
                       __attribute__((always_inline)) { odd[r][t] = V::template shift_left32<16>(odd[r][t]); });
    JoinedSums::template group<kVectors, kParts>(panels, x, 2 * pair * kVectors, 2 * pair * kParts, sums);
    unroll<R>([&]<int r>() __attribute__((always_inline)) {
      const Bits scales = V::load(panels[r].scale_pairs[pair]);
      unroll<T>([&]<int t>() __attribute__((always_inline)) {
        scaled[r][t] = V::dot_words(scaled[r][t], V::join_words(sums[r][t], odd[r][t]), scales);
      });
    });
  }
};

// The same over codes that V::interleave has paired; an odd last token is paired with itself.
template <class V, class F>
struct PairSums : ScaledDwords<V, F, PairSums<V, F>> {
  using Bits = typename V::Bits;

  template <int n_k4, int n_parts, int R, int T, class Panel, class Activation>
  [[gnu::always_inline]] static void group(const Panel* panels, const Activation* x, int k4, int part,
                                           Bits (&sums)[R][T]) {
    constexpr int kPairs = (T + 1) / 2;
    Bits a[R][kPairs], b[R][kPairs];
    for_each<R, kPairs>([&]<int r, int p>() __attribute__((always_inline)) { a[r][p] = b[r][p] = V::zero(); });
    for (const int end = k4 + n_k4; k4 < end; k4 += 2) {
      unroll<kPairs>([&]<int p>() __attribute__((always_inline)) {
        const int other = 2 * p + 1 < T ? 2 * p + 1 : 2 * p;
        const Bits q = V::load_pair(x[2 * p].q + 4 * k4, x[other].q + 4 * k4);
        unroll<R>([&]<int r>() __attribute__((always_inline)) {
          a[r][p] = V::template dot_pairs<kWide<F>>(a[r][p], V::load(panels[r].codes.at[k4]), q);
          b[r][p] = V::template dot_pairs<kWide<F>>(b[r][p], V::load(panels[r].codes.at[k4 + 1]), q);
        });
      });
    }
    start_group<V, F, n_parts>(x, part, sums);
    for_each<R, kPairs>([&]<int r, int p>() __attribute__((always_inline)) {
      V::separate(a[r][p], b[r][p]);
      sums[r][2 * p] = V::add(sums[r][2 * p], a[r][p]);
      if constexpr (2 * p + 1 < T) sums[r][2 * p + 1] = V::add(sums[r][2 * p + 1], b[r][p]);
    });
  }
};

template <class V, class F>
struct WordSums {
  using Bits = typename V::Bits;
  static constexpr bool kUnbiasAtEnd = kBiasLeft<V, F> != 0, kScalePairs = kUnbiasAtEnd;

  template <int byte>
  static Bits scale(Bits scales) {
    return V::template byte_twice<byte>(scales);
  }

  template <int n_k4, int n_parts, int R, int T, class Panel, class Activation>
  [[gnu::always_inline]] static void group(const Panel* panels, const Activation* x, int k4, int part,
                                           Bits (&sums)[R][T]) {
    start_group<V, F, n_parts>(x, part, sums);
    Bits ones[R];
    unroll<R>([&]<int r>() __attribute__((always_inline)) { ones[r] = V::splat16(1); });
    add_group<n_k4, steps_in_word(n_k4)>(panels, x, k4, ones, sums);
  }

  // Words add up whole groups where the activations allow it, or else as much as any activations allow.
  template <int R, int T, class Panel>
  [[gnu::always_inline]] static void scaled_groups(const Panel* panels, const ActivationBlock256* x,
                                                   Bits (&scaled)[R][T]) {
    constexpr int kVectors = F::kGroup / 4, kSteps = steps_in_word(kVectors);
    if constexpr (kSteps < kVectors) {
      bool fit = true;
      for (int t = 0; t < T; ++t) fit &= group_fits_word(x[t]);
      if (fit) return add_scaled_groups<kVectors>(panels, x, scaled);
    }
    add_scaled_groups<kSteps>(panels, x, scaled);
  }

  // Vectors of codes whose products a word can add up: two per word and vector, each at most kMaxCode * 127.
  static constexpr int steps_in_word(int n_k4) {
    int steps = 1;
    while (2 * steps <= n_k4 && 2 * steps * 2 * F::kMaxCode * 127 <= 32767) steps *= 2;
    return steps;
  }

 private:
  // A word adds up half of each 16 values.
  static bool group_fits_word(const ActivationBlock256& x) {
    return F::kMaxCode * (F::kGroup / 16) * x.most_one_sided8 <= 32767;
  }

  template <int kSteps, int R, int T, class Panel>
  [[gnu::always_inline]] static void add_scaled_groups(const Panel* panels, const ActivationBlock256* x,
                                                       Bits (&scaled)[R][T]) {
    for (int g = 0; g < Panel::kGroups; ++g) {
      Bits scales[R];
      unroll<R>([&]<int r>() __attribute__((always_inline)) { scales[r] = V::load(panels[r].scales[g]); });
      add_group<F::kGroup / 4, kSteps>(panels, x, g * (F::kGroup / 4), scales, scaled);
    }
  }

  // sums += scales times the products, which words add up for kSteps vectors of codes.
  template <int n_k4, int kSteps, int R, int T, class Panel, class Activation>
  [[gnu::always_inline]] static void add_group(const Panel* panels, const Activation* x, int k4,
                                               const Bits (&scales)[R], Bits (&sums)[R][T]) {
    for (const int end = k4 + n_k4; k4 < end; k4 += kSteps) {
      Bits words[R][T];
      for_each<R, T>([&]<int r, int t>() __attribute__((always_inline)) { words[r][t] = V::zero(); });
      for_each_product<V, kSteps, R, T>(
          panels, x, k4, [&]<int r, int t>(Bits w, Bits q) __attribute__((always_inline)) {
            words[r][t] = V::add_words(words[r][t], V::multiply_pairs(w, q));
          });
      for_each<R, T>([&]<int r, int t>() __attribute__((always_inline)) {
        sums[r][t] = V::dot_words(sums[r][t], words[r][t], scales[r]);
      });
    }
  }
};

// Words rarely hold the sums of a group of codes that are larger.
template <class F>
constexpr bool has_small_sums() {
  if constexpr (F::Block::kValues == 256) return F::kMaxCode < 64 && F::kBias * F::kGroup <= 512;
  return false;
}
template <class V, class F>
inline constexpr bool kNarrow = V::kNarrowSums&& has_small_sums<F>();

template <class V, class F>
auto group_sums() {
  if constexpr (V::kProducts == Products::kTokenPairs)
    return PairSums<V, F>();
  else if constexpr (V::kProducts == Products::kWords && !kWide<F>)
    return WordSums<V, F>();
  else if constexpr (kNarrow<V, F> && V::kJoinsSums)
    return JoinedSums<V, F>();
  else if constexpr (kNarrow<V, F>)
    return NarrowSums<V, F>();
  else
    return DwordSums<V, F>();
}
// The one for V and F.
template <class V, class F>
using GroupSums = decltype(group_sums<V, F>());

}  // namespace tessera::kernels::cpu
