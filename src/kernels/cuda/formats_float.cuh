// Plain floats as weights: F32, F16, BF16. The contract: formats.cuh.
#pragma once

#include "kernels/cuda/formats_common.cuh"

namespace tessera::kernels::cuda {

template <int kElementBytes>
struct Floats {
  static constexpr int kValues = kSlice, kBytes = kSlice * kElementBytes, kAlignment = kElementBytes, kGroup = 0;
  static constexpr bool kIsFloat = true;
  static constexpr int kInWords4 = 16 / kElementBytes;  // values of 16 bytes
  static constexpr int kMatmulUnit = kElementBytes == 2 ? 128 : 64, kSmallMatmulUnit = 64, kSharedSlices = 1;
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
  TESSERA_DEVICE static float value_of(const Words4& words, int i) { return float_of_bits(words.word[i]); }
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
  TESSERA_DEVICE static float value_of(const Words4& words, int i) {
    return kWiden(static_cast<uint16_t>(words.word[i / 2] >> 16 * (i % 2)));
  }
};

// Four values of a row of k from i on; those at k and past it are 0.
template <typename F, typename P>
TESSERA_DEVICE void float_values4(P row, int i, int k, float (&out)[4]) {
  if (i + 4 <= k) return F::values4(row, i, out);
  TESSERA_UNROLL
  for (int j = 0; j < 4; ++j) out[j] = i + j < k ? F::value(row, i + j) : 0.0f;
}

// The quad's view: 64 values of a row, rounded to f16 as they come. Rows are of a multiple of 32 values, at multiples
// of 16 bytes: words lie where they are wanted, and past the end are zeros.
template <typename Base, typename Four>
struct FloatQuads : Base {
  template <int n>
  struct Quad {
    Four four[n][2];  // (slice, half)
  };
  template <int n, typename P>
  TESSERA_DEVICE static Quad<n> fetch_quad(P row, int, int t, int) {
    Quad<n> out;
    TESSERA_UNROLL
    for (int i = 0; i < 2 * n; ++i) out.four[i / 2][i % 2] = cast<const Four>(row + i * 16 * Base::kAlignment)[t];
    return out;
  }
};
struct F32W : FloatQuads<F32Values, Words4> {
  template <typename Quad>
  TESSERA_DEVICE static void half_values(const Quad& quad, int s, uint32_t (&out)[4]) {
    const auto times = [](uint32_t bits) { return float_of_bits(bits) * kHalfWeight; };
    TESSERA_UNROLL
    for (int i = 0; i < 4; ++i) {
      const uint32_t(&word)[4] = quad.four[s][i / 2].word;
      out[i] = f16x2_of(times(word[i % 2 * 2]), times(word[i % 2 * 2 + 1]));
    }
  }
};
struct F16W : FloatQuads<HalfValues<float_of_f16>, Words2> {
  template <typename Quad>
  TESSERA_DEVICE static void half_values(const Quad& quad, int s, uint32_t (&out)[4]) {
    TESSERA_UNROLL
    for (int i = 0; i < 4; ++i) out[i] = mul_f16x2(quad.four[s][i / 2].word[i % 2], f16x2(kHalfWeight));
  }
};
struct BF16W : FloatQuads<HalfValues<float_of_bf16>, Words2> {
  template <typename Quad>
  TESSERA_DEVICE static void half_values(const Quad& quad, int s, uint32_t (&out)[4]) {
    TESSERA_UNROLL
    for (int i = 0; i < 4; ++i) {
      const uint32_t two = quad.four[s][i / 2].word[i % 2];
      out[i] = f16x2_of(float_of_bits(two << 16) * kHalfWeight, float_of_bits(two & 0xffff0000u) * kHalfWeight);
    }
  }
};

}  // namespace tessera::kernels::cuda
