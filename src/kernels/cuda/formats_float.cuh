// Plain floats as weights: F32, F16, BF16. The contract: formats.cuh.
#pragma once

#include "kernels/cuda/formats_common.cuh"

namespace tessera::kernels::cuda {

template <int kElementBytes>
struct Floats {
  static constexpr int kValues = kSlice, kBytes = kSlice * kElementBytes, kAlignment = kElementBytes, kGroup = 0;
  static constexpr bool kIsFloat = true;
  static constexpr int kMatmulUnit = 64, kSharedSlices = 1;
};
struct F32Values : Floats<4> {
  template <typename P>
  TESSERA_DEVICE static float value(P row, int i) {
    return cast<const float>(row)[i];
  }
  template <typename P>
  TESSERA_DEVICE static void values4(P row, int i, float (&out)[4]) {
    TESSERA_UNROLL
    for (int j = 0; j < 4; ++j) out[j] = value(row, i + j);
  }
};
template <float (*kWiden)(uint16_t)>
struct HalfValues : Floats<2> {
  template <typename P>
  TESSERA_DEVICE static float value(P row, int i) {
    return kWiden(cast<const uint16_t>(row)[i]);
  }
  template <typename P>
  TESSERA_DEVICE static void values4(P row, int i, float (&out)[4]) {
    uint32_t words[2];
    load_words(row + 2 * i, words);
    TESSERA_UNROLL
    for (int j = 0; j < 4; ++j) out[j] = kWiden(static_cast<uint16_t>(words[j / 2] >> 16 * (j % 2)));
  }
};

// Four values of a row of k from i on; those at k and past it are 0.
template <typename F, typename P>
TESSERA_DEVICE void float_values4(P row, int i, int k, float (&out)[4]) {
  if (i + 4 <= k) return F::values4(row, i, out);
  TESSERA_UNROLL
  for (int j = 0; j < 4; ++j) out[j] = i + j < k ? F::value(row, i + j) : 0.0f;
}

// The quad's view: 64 values of a row, rounded to f16 as they come.
template <typename Base>
struct FloatQuads : Base {
  template <int n>
  struct Quad {
    uint32_t half[n][4];  // (slice, as half_values has them)
  };
  template <int n, typename P>
  TESSERA_DEVICE static Quad<n> fetch_quad(P row, int lead, int t, int n_slices) {
    const P unit = row + lead;
    Quad<n> out = {};
    TESSERA_UNROLL
    for (int i = 0; i < 2 * n; ++i) {  // slice i / 2, half i % 2
      if (i / 2 >= n_slices) continue;
      float four[4];
      Base::values4(unit, 16 * i + 4 * t, four);
      TESSERA_UNROLL
      for (int j = 0; j < 2; ++j)
        out.half[i / 2][i % 2 * 2 + j] = f16x2_of(four[2 * j] * kHalfWeight, four[2 * j + 1] * kHalfWeight);
    }
    return out;
  }
  template <int n>
  TESSERA_DEVICE static void half_values(const Quad<n>& quad, int s, uint32_t (&out)[4]) {
    TESSERA_UNROLL
    for (int i = 0; i < 4; ++i) out[i] = quad.half[s][i];
  }
};
struct F32W : FloatQuads<F32Values> {};
struct F16W : FloatQuads<HalfValues<float_of_f16>> {};
struct BF16W : FloatQuads<HalfValues<float_of_bf16>> {};

}  // namespace tessera::kernels::cuda
