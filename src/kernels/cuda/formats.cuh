// The packed formats as kernels read them, one struct each: formats_k.cuh, formats_q6_k.cuh, formats_32.cuh,
// formats_float.cuh. Layouts: quant/<format>.h. Three views of a row's blocks:
//
//   slice  32 consecutive values, one lane's work: exact products, embeddings.
//            fetch(block, s)   slice s of the block: only loads, so that many can be in flight
//            unpack(raw, s)    its codes in order, four signed bytes in a word, with scales and min
//   quad   the 256 or 64 values of a unit, n slices, shared by four lanes the way the tensor cores deal out a row of a
//          matrix: of each 32 values, lane t has 4t .. 4t + 3 and 16 + 4t .. 16 + 4t + 3 (two words of codes, `low` and
//          `high`).
//            fetch_quad<n, step>(row, lead, t, n_slices, first)
//                                            what lane t needs of the unit that begins `lead` bytes after `row`, a
//                                            multiple of 16; of slices from n_slices on the scales are 0. Scales of
//                                            formats of 32 values are those of slices first, first + step, ...
//            codes(quad, s)                  its two words of slice s
//            unsigned_codes(quad, s)         where kSignedCodes: the same, 128 more
//            codes_in_place(quad, s)         where kOddShift is not 0: the same, unsigned and, of odd slices, shifted
//                                            left by so much
//          With int8 activations, of formats of 256 values: integer_scales(quad), words with a byte for each part that
//          has its own scale, offset_word(quad), d(quad), dmin(quad); of those of 32: scale(quad, i), the i-th that was
//          fetched, and signed codes.
//          With f16 activations: half_scales(quad, s) of the two words, half_min(quad, s): two equal f16 in a word,
//          kHalfWeight times what they stand for.
//   quarter  of packed formats: 64 of the 256 values of a unit, one lane's work with few tokens: sixteen values at a
//          time, of which the g-th are the unit's sixteenth(j, g).
//            fetch_quarter(row, lead, j, n_slices)   quarter j of the unit that begins `lead` bytes after `row`, a
//                                                    multiple of 16; slices past the last one repeat it
//            product(quarter, x)                     its product with a QuarterInput (formats_common.cuh), whose
//                                                    CodeSums are made of the sums of each sixteen codes
//
// What else a format F says:
//   Block, kValues, kBytes  a block of its rows
//   kAlignment              a power of two that divides kBytes, at most 16: what may be assumed of a block's address
//   kGroup                  values per scale of the int8 activations it is multiplied with (kernels/cpu/arithmetic.md)
//   kScales                 scales of a slice: 1, or 2 where each 16 values have their own
//   kHasMin, kBias          value = scale * (code - kBias) - min
//   kSignedCodes            of quads: codes are signed, with the bias taken off
//   kCodeFactor             of quads: codes are so many times themselves, and their products with int8 too
//   kMatmulUnit             values of a unit in prefill; kSmallMatmulUnit: where shared memory is short
//   kSharedSlices           slices of a unit that prefill fetches together: those whose codes share words, at least
// Plain floats have value(row, i) and values4(row, i) instead of codes.
#pragma once

#include "kernels/cuda/formats_32.cuh"
#include "kernels/cuda/formats_float.cuh"
#include "kernels/cuda/formats_k.cuh"
#include "kernels/cuda/formats_q6_k.cuh"

namespace tessera::kernels::cuda {

// Value i of a slice.
template <typename F>
TESSERA_DEVICE float value_of(const Slice<F::kScales>& slice, int i) {
  const int code = static_cast<int8_t>(slice.codes[i / 4] >> 8 * (i % 4));
  const float value = slice.scale[i * F::kScales / kSlice] * static_cast<float>(code - F::kBias);
  return F::kHasMin ? value - slice.min : value;
}

template <typename F>
TESSERA_DEVICE int64_t row_bytes(int k) {
  if constexpr (F::kIsFloat) return int64_t{k} * F::kAlignment;
  return int64_t{k / F::kValues} * F::kBytes;
}

// Slice s of a row of blocks.
template <typename F, typename P>
TESSERA_DEVICE auto fetch_slice(P row, int s) {
  constexpr int kSlices = F::kValues / kSlice;
  return F::fetch(row + s / kSlices * F::kBytes, s % kSlices);
}

// The 32 values of slice s of a row of k, as f32; those at k and past it are 0.
template <typename F, typename P>
TESSERA_DEVICE void dequantize_slice(P row, int s, int k, float (&out)[kSlice]) {
  if constexpr (F::kIsFloat) {
    TESSERA_UNROLL
    for (int i = 0; i < kSlice; i += 4) {
      float four[4];
      float_values4<F>(row, kSlice * s + i, k, four);
      for (int j = 0; j < 4; ++j) out[i + j] = four[j];
    }
  } else {
    const auto slice = F::unpack(fetch_slice<F>(row, s), s % (F::kValues / kSlice));
    TESSERA_UNROLL
    for (int i = 0; i < kSlice; ++i) out[i] = value_of<F>(slice, i);
  }
}

template <typename F, typename Quad>
TESSERA_DEVICE Words2 unsigned_codes_of(const Quad& quad, int s) {
  if constexpr (F::kSignedCodes)
    return F::unsigned_codes(quad, s);
  else
    return F::codes(quad, s);
}

// Lane t's eight values of slice s as f16, kHalfWeight times themselves: words of values 4t, 4t + 1; 4t + 2, 4t + 3;
// 16 + 4t, ...; 16 + 4t + 2, ...
template <typename F, typename Quad>
TESSERA_DEVICE void half_values(const Quad& quad, int s, uint32_t (&out)[4]) {
  if constexpr (F::kIsFloat) {
    F::half_values(quad, s, out);
  } else {
    const Words2 codes = unsigned_codes_of<F>(quad, s);
    constexpr uint32_t kMinus = f16x2(-1024 - (F::kSignedCodes ? 128 : F::kBias));
    const Words2 scales = F::half_scales(quad, s);
    TESSERA_UNROLL
    for (int half = 0; half < 2; ++half) {
      const uint32_t scale = scales.word[half];
      TESSERA_UNROLL
      for (int pair = 0; pair < 2; ++pair) {
        // A byte c in the low bits of 1024.0 is 1024 + c. Two constants, of which an instruction holds one: in this
        // order it is the selector.
        const uint32_t both = permute_bytes(0x64646464u, codes.word[half], pair ? 0x0706 : 0x0504);
        const uint32_t centered = add_f16x2(both, kMinus);
        uint32_t& to = out[2 * half + pair];
        if constexpr (F::kHasMin)
          to = fma_f16x2(centered, scale, F::half_min(quad, s) ^ 0x80008000u);
        else
          to = mul_f16x2(centered, scale);
      }
    }
  }
}

}  // namespace tessera::kernels::cuda
