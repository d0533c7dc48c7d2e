// Few tokens in exact arithmetic from packed blocks. A panel's codes of 256 values are unpacked to the first cache, in
// the order of the file; then weights become f32 in registers, rows in lanes: the sixteen lanes along k that
// arithmetic.md defines are sixteen accumulators of V::kRows rows each.
//
// A weight is scale * code + offset, the scale a product of the block's numbers: for every format with the roundings of
// quant::Format::dequantize, as only the last of these steps rounds. More tokens are faster with rows as f32
// (linear_exact.h).
#pragma once

#include <optional>

#include "kernels/cpu/linear_block.h"
#include "kernels/cpu/linear_few.h"
#include "kernels/cpu/linear_rows.h"
#include "kernels/cpu/unroll.h"

namespace tessera::kernels::cpu {

// 256 values of V::kRows rows: a value is scale * code, or scale * code + offset if F::kHasMin.
template <class V, class F>
class ExactPanel {
 public:
  using Bits = typename V::Bits;
  using Floats = typename V::Floats;
  static constexpr int64_t kBytes = kStepBytes<typename F::Block>;

  // `ahead`: V::kRows kBytes, which panels of neighbours ask for meanwhile: a part here, the rest with products.
  template <RowOrder order>
  [[gnu::noinline, gnu::flatten]] void unpack(const PanelRows<V, F>& rows, int64_t offset, const std::byte* ahead) {
    const Lanes<V> lanes = order == RowOrder::kDistant ? rows.distant_lanes(offset, kBytes)
                                                       : rows.lanes(offset, kBytes - kBytesWithProducts, ahead);
    for_each_code_vector<V, F>(lanes, [&]<int k4>(Bits codes) { V::store(signed_codes(codes), codes_[k4]); });
    if constexpr (F::Block::kValues == 256) {
      const BlockParams256<V, F> params(lanes);
      unroll_flat<kScales>([&]<int g>() {
        (params.d * V::to_floats(V::template byte_signed<g % 4>(params.scales[g / 4]))).store(scale_[g]);
        if constexpr (F::kHasMin)
          (params.minus_dmin * V::to_floats(V::template byte_signed<g % 4>(params.mins[g / 4]))).store(offset_[g]);
      });
    } else {
      PanelScales32<V, F> scales(rows, offset, lanes);
      unroll_flat<kScales>([&]<int j>() {
        Floats d, m;
        scales.template load<j>(d, m);
        d.store(scale_[j]);
        if constexpr (F::kHasMin) m.store(offset_[j]);
      });
    }
  }

  // sums[l] += the products with values l, l + 16, .. of x.
  template <bool kAsk>
  void add_products(const float* x, const std::byte* ahead, Floats (&sums)[16]) const {
    ahead += V::kRows * (kBytes - kBytesWithProducts);
    for (int i = 0; i < 16; ++i, x += 16, ahead += 64 * kLinesWithProducts) {
      const int g = 16 * i / F::kGroup;
      const Floats scale = Floats::load(scale_[g]);
      Floats offset;
      if constexpr (F::kHasMin) offset = Floats::load(offset_[g]);
      for_each_flat<4, 4>([&]<int c, int byte>() {
        constexpr int lane = 4 * c + byte;
        Bits codes = V::load(codes_[4 * i + c]);
        if constexpr (kAsk && lane < kLinesWithProducts) codes = V::fetch(codes, ahead + 64 * lane);
        Floats w = scale * V::to_floats(V::template byte_signed<byte>(codes));
        if constexpr (F::kHasMin) w = w + offset;
        sums[lane] = Floats::fma(w, Floats::set(x[lane]), sums[lane]);
      });
    }
  }

 private:
  // Of sixteen values of all rows: two thirds of the time are theirs.
  static constexpr int kLinesWithProducts = static_cast<int>(V::kRows * kBytes / 64 * 2 / 3 / 16);
  static constexpr int64_t kBytesWithProducts = 16 * 64 * kLinesWithProducts / V::kRows;

  // Less their bias.
  static Bits signed_codes(Bits codes) {
    if constexpr (kWide<F>) return V::kSignedWide ? codes : V::flip_sign(codes);
    if constexpr (F::kBias != 0) return V::subtract8(codes, V::splat8(F::kBias));
    return codes;
  }

  static constexpr int kScales = 256 / F::kGroup;
  alignas(64) unsigned char codes_[64][4 * V::kRows];  // vector k4: values 4 k4 .. 4 k4 + 3 of each row
  alignas(64) float scale_[kScales][V::kRows], offset_[F::kHasMin ? kScales : 1][V::kRows];
};

template <class V, class F, RowOrder order>
struct FewExact {
  using Floats = typename V::Floats;
  using Panel = ExactPanel<V, F>;
  // At once: of more, FewTokens would take some past the last one, of which there are no rows.
  static constexpr int kTokens = 2;

  // T tokens from `token` on. Where k is no multiple of 256, blocks and x of zeros add 0 to sums that are never -0.
  template <int T>
  static void panel(const PanelRows<V, F>& rows, const ActivationView& x, int token, const std::byte* ahead,
                    Floats (&acc)[T]) {
    Floats sums[T][16];
    for_each_flat<T, 16>([&]<int t, int lane>() { sums[t][lane] = Floats::zero(); });
    Panel codes;
    const int64_t n_whole = x.k / 256 * 256;
    for (int64_t i = 0; i < n_whole; i += 256, ahead += V::kRows * Panel::kBytes) {
      codes.template unpack<order>(rows, i / 256 * Panel::kBytes, ahead);
      unroll_flat<T>([&]<int t>() {
        codes.template add_products<order == RowOrder::kNeighbours && t == 0>(row_of(x, token + t) + i, ahead, sums[t]);
      });
    }
    if constexpr (F::Block::kValues < 256) {
      if (n_whole < x.k) {
        const PaddedTail<V, F> tail(rows, n_whole, x.k);
        codes.template unpack<order>(tail.rows, 0, ahead);
        unroll_flat<T>([&]<int t>() {
          float end[256] = {};
          __builtin_memcpy(end, row_of(x, token + t) + n_whole, static_cast<size_t>(x.k - n_whole) * sizeof(float));
          codes.template add_products<false>(end, ahead, sums[t]);
        });
      }
    }
    unroll_flat<T>([&]<int t>() { acc[t] = sum_of(sums[t]); });
  }

 private:
  static const float* row_of(const ActivationView& x, int token) { return x.floats + token * x.float_stride; }
  static Floats sum_of(Floats (&lanes)[16]) {
    for (int n = 8; n > 0; n /= 2)
      for (int lane = 0; lane < n; ++lane) lanes[lane] = lanes[lane] + lanes[lane + n];
    return lanes[0];
  }
};

}  // namespace tessera::kernels::cpu
