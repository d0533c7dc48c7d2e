// The input of a linear in the form its kernels read (api.h, Form): codes of 8 bits in groups of 256 or 32 with the
// sums of each 16 (kernels/cpu/arithmetic.md, which the codes follow to the bit), plain f32, or tiles of f16 for the
// tensor cores. Bytes moved: x once, twice for tiles.
#pragma once

#include "kernels/cuda/formats_common.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/warpgroup.cuh"

namespace tessera::kernels::cuda {

inline constexpr int kConvertThreads = 256;

// Eight values from `at` on, a multiple of 8.
TESSERA_DEVICE void load_eight(Address from, Element element, int64_t at, float (&x)[8]) {
  if (element == Element::kF32) {
    const auto words = global<const Words4>(from) + at / 4;
    const Words4 low = words[0], high = words[1];
    TESSERA_UNROLL
    for (int i = 0; i < 4; ++i) x[i] = float_of_bits(low.word[i]), x[4 + i] = float_of_bits(high.word[i]);
  } else {
    const Words4 words = global<const Words4>(from)[at / 8];
    TESSERA_UNROLL
    for (int i = 0; i < 8; ++i) {
      x[i] = float_of_half(static_cast<uint16_t>(words.word[i / 2] >> 16 * (i % 2)), element);
    }
  }
}
TESSERA_DEVICE void store_eight(Address to, Element element, int64_t at, const float (&x)[8]) {
  if (element == Element::kF32) {
    const auto words = global<Words4>(to) + at / 4;
    words[0] = words_of(x[0], x[1], x[2], x[3]);
    words[1] = words_of(x[4], x[5], x[6], x[7]);
  } else {
    Words4 words;
    TESSERA_UNROLL
    for (int i = 0; i < 4; ++i) words.word[i] = halves_of(x[2 * i], x[2 * i + 1], element);
    global<Words4>(to)[at / 8] = words;
  }
}
// The same of a row of k that begins at `row`, from `first` on, a multiple of 8; those at k and past it are 0.
// kIsWhole: k is a multiple of 8.
template <bool kIsWhole = false>
TESSERA_DEVICE void load_eight(Address from, Element element, int64_t row, int first, int k, float (&x)[8]) {
  if (kIsWhole ? first < k : first + 8 <= k && k % 8 == 0) {
    load_eight(from, element, row + first, x);
  } else {
    TESSERA_UNROLL
    for (int i = 0; i < 8; ++i) x[i] = !kIsWhole && first + i < k ? load_float(from, element, row + first + i) : 0.0f;
  }
}
template <bool kIsWhole = false>
TESSERA_DEVICE void store_eight(Address to, Element element, int64_t row, int first, int k, const float (&x)[8]) {
  if (kIsWhole ? first < k : first + 8 <= k && k % 8 == 0) {
    store_eight(to, element, row + first, x);
  } else if (!kIsWhole) {
    TESSERA_UNROLL
    for (int i = 0; i < 8; ++i)
      if (first + i < k) store_float(to, element, row + first + i, x[i]);
  }
}

// Eight values of a lane, of a warp's 256 of one token, as codes of the kInt8 form: `first` is the lane's first value
// in the row, a multiple of 8; is_inside: it is within the row.
TESSERA_DEVICE void quantize_eight(const Activations& out, int64_t token, int first, bool is_inside,
                                   const float (&x)[8]) {
  float largest = 0;
  TESSERA_UNROLL
  for (int i = 0; i < 8; ++i) largest = max_of(largest, abs_of(x[i]));
  const int log2_group = out.group == 256 ? 8 : 5;  // no division: a launch may wait for these few instructions
  for (int step = 1; step < 1 << (log2_group - 3); step *= 2) largest = max_of(largest, shuffle_xor(largest, step));
  const float inverse = largest > 0 ? 127.0f / largest : 0.0f;
  uint32_t words[2];
  int32_t sum = 0;
  TESSERA_UNROLL
  for (int i = 0; i < 2; ++i) {
    uint32_t code[4];  // in the lowest byte
    TESSERA_UNROLL
    for (int j = 0; j < 4; ++j) code[j] = integer_bits(max_of(-127.0f, min_of(127.0f, x[4 * i + j] * inverse)));
    words[i] = permute_bytes(permute_bytes(code[0], code[1], 0x0040), permute_bytes(code[2], code[3], 0x0040), 0x5410);
    sum = dot4(words[i], 0x01010101u, sum);
  }
  sum += shuffle_xor(sum, 1);  // of sixteen, in two lanes
  if (!is_inside) return;
  const int sixteenth = first % 256 / 16;
  if (first % (1 << log2_group) == 0)
    global<float>(out.d)[token * (out.k >> log2_group) + (first >> log2_group)] = largest / 127.0f;
  if (out.m <= kFewTokens) {
    const int64_t at = token * padded_codes(out.k) + (first / 256 * 256 + few_order(sixteenth) * 16 + first % 16);
    *cast<Words2>(global<uint8_t>(out.q) + at) = Words2{{words[0], words[1]}};
    return;
  }
  const int tile_rows = min_of(out.m, 8);
  const auto row_of = [&](int64_t i, int64_t n) { return ((token / 8 * n + i) * tile_rows + token % 8) * 32; };
  const auto codes = global<uint8_t>(out.q) + row_of(first / 32, out.k / 32);
  TESSERA_UNROLL
  for (int i = 0; i < 2; ++i) {
    const int word = first % 32 / 4 + i;
    *cast<uint32_t>(codes + (8 * (word % 4) + 4 * (word / 4))) = words[i];
  }
  if (out.group != 256 || first % 16 != 0) return;
  const auto sums =
      global<uint8_t>(out.sums) + (row_of(first / 256, out.k / 256) + 8 * (sixteenth / 4) + sixteenth % 4);
  sums[0] = static_cast<uint8_t>(sum & 127);
  sums[4] = static_cast<uint8_t>(sum >> 7);
}

// A warp per group of 256: eight values a lane. Groups of 32 are four lanes each, in the same warp's 256 values.
TESSERA_KERNEL(kWarp, 1) quantize_kernel(ActivationsArgs a) {
  let_next_start();
  wait_for_previous();
  const int64_t token = block_y();
  const int first = block_x() * 256 + lane() * 8;  // k is a multiple of the group
  const bool is_inside = first < a.out.k;
  float x[8];
  load_eight(a.x, a.element, token * a.out.k, first, a.out.k, x);
  quantize_eight(a.out, token, first, is_inside, x);
}

TESSERA_KERNEL(kConvertThreads, 1) convert_kernel(ActivationsArgs a) {
  let_next_start();
  wait_for_previous();
  const int64_t n = int64_t{a.out.m} * a.out.k;
  const int64_t i = int64_t{block_x()} * kConvertThreads + thread();
  if (i < n) global<float>(a.out.values)[i] = load_float(a.x, a.element, i);
}

// A power of two that brings a row whose largest value is `largest` below 2^15, and its inverse.
struct PowerOfTwo {
  float factor, inverse;
  TESSERA_DEVICE explicit PowerOfTwo(float largest) {
    constexpr uint32_t kBias = 127, kTarget = 14;
    const uint32_t exponent = bits_of_float(largest) >> 23;
    const uint32_t kept = exponent < kTarget + 1 ? kTarget + 1 : exponent;  // of a row of zeros or almost zeros
    factor = float_of_bits((2 * kBias + kTarget - kept) << 23);
    inverse = float_of_bits((kept - kTarget) << 23);
  }
};

// Eight values of token `token` from `first` on, into its tiles of f16: of sixteen values the pairs 0 1 and 2 3 of each
// four go to the first and the second chunk.
TESSERA_DEVICE void tile_eight(const Activations& out, int64_t token, int first, float factor, const float (&x)[8]) {
  const int64_t row = int64_t{first / kTileDepth} * padded_tokens(out.m) + token;
  const auto to = global<uint8_t>(out.values) + row * kTileRowBytes;
  TESSERA_UNROLL
  for (int i = 0; i < 2; ++i) {
    const int chunk = (first % kTileDepth / 16 * 2 + i) ^ static_cast<int>(token % 8);
    const Words2 words = {
        {f16x2_of(x[2 * i] * factor, x[2 * i + 1] * factor), f16x2_of(x[4 + 2 * i] * factor, x[5 + 2 * i] * factor)}};
    *cast<Words2>(to + (chunk * 16 + first % 16)) = words;
  }
}
// What the token's products are to be multiplied by.
TESSERA_DEVICE void store_token_scale(const Activations& out, int64_t token, const PowerOfTwo& scale) {
  global<float>(out.d)[token] = scale.inverse / static_cast<float>(kHalfWeight);
}

// A block per token.
TESSERA_KERNEL(kConvertThreads, 1) f16_tiles_kernel(ActivationsArgs a) {
  const auto scratch = cast<float>(shared_memory());
  let_next_start();
  wait_for_previous();
  const int64_t token = block_x(), row = token * a.out.k;
  float largest = 0;
  for (int first = 8 * thread(); first < a.out.k; first += 8 * kConvertThreads) {
    float x[8];
    load_eight(a.x, a.element, row, first, a.out.k, x);
    TESSERA_UNROLL
    for (int i = 0; i < 8; ++i) largest = max_of(largest, abs_of(x[i]));
  }
  const PowerOfTwo scale(block_max(largest, kConvertThreads / kWarp, scratch));
  if (thread() == 0) store_token_scale(a.out, token, scale);
  for (int first = 8 * thread(); first < tiled_values(a.out.k); first += 8 * kConvertThreads) {
    float x[8];
    load_eight(a.x, a.element, row, first, a.out.k, x);
    tile_eight(a.out, token, first, scale.factor, x);
  }
}

inline int make_activations(Device& device, const ActivationsArgs& args, Failure* failure) {
  Launch shape;
  switch (args.out.form) {
    case Form::kInt8:
      if ((args.out.group != 32 && args.out.group != 256) || args.out.k % args.out.group != 0)
        return fail(failure, "activations: rows are not a multiple of the group");
      shape.threads = kWarp;
      shape.blocks = {pieces_of(args.out.k, 256), args.out.m, 1};
      return launch(device, shape, quantize_kernel, args, failure);
    case Form::kF32:
      shape.threads = kConvertThreads;
      shape.blocks.x = pieces_of(int64_t{args.out.m} * args.out.k, kConvertThreads);
      return launch(device, shape, convert_kernel, args, failure);
    case Form::kF16Tiles:
      shape.threads = kConvertThreads;
      shape.blocks.x = args.out.m;
      shape.shared_bytes = kConvertThreads / kWarp * static_cast<int>(sizeof(float));
      return launch(device, shape, f16_tiles_kernel, args, failure);
  }
  return fail(failure, "activations: unknown form");
}

}  // namespace tessera::kernels::cuda
