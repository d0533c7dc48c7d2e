// Threefry-2x32 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) as a counter-based generator.

#include <array>
#include <bit>
#include <cstring>

#include "ops/checks.h"
#include "ops/create.h"

namespace tessera::ops {
namespace {

using Pair = std::array<uint32_t, 2>;

Pair threefry(const Pair& key, const Pair& counter) {
  constexpr int kRotations[2][4] = {{13, 15, 26, 6}, {17, 29, 16, 24}};
  const uint32_t keys[3] = {key[0], key[1], key[0] ^ key[1] ^ 0x1BD11BDAu};
  uint32_t a = counter[0] + keys[0], b = counter[1] + keys[1];
  for (uint32_t group = 0; group < 5; ++group) {
    for (int rotation : kRotations[group % 2]) {
      a += b;
      b = std::rotl(b, rotation) ^ a;
    }
    a += keys[(group + 1) % 3];
    b += keys[(group + 2) % 3] + group + 1;
  }
  return {a, b};
}

DType dtype_of_width(int width) {
  switch (width) {
    case 1:
      return DType::kU8;
    case 2:
      return DType::kU16;
    default:
      return DType::kU32;
  }
}

}  // namespace

Result<Tensor> random_bits(const Shape& shape, int width, int32_t seed) {
  if (width != 1 && width != 2 && width != 4)
    return invalid_argument("random bits come 1, 2 or 4 bytes wide, not {}", width);
  const DType dtype = dtype_of_width(width);
  TRY(check_created(shape, dtype));
  Tensor out = TRY(Tensor::allocate(dtype, shape));
  const auto wide = static_cast<uint64_t>(int64_t{seed});
  const Pair key{static_cast<uint32_t>(wide >> 32), static_cast<uint32_t>(wide)};
  const size_t n_words = (out.n_bytes() + 3) / 4, half = n_words / 2, odd = n_words % 2;
  // One hash fills word i and word half + odd + i; an odd count's middle word is the first half of one more.
  const auto put = [&](size_t word, uint32_t bits) {
    const size_t at = word * 4;
    std::memcpy(out.data + at, &bits, std::min<size_t>(4, out.n_bytes() - at));
  };
  for (size_t i = 0; i < half; ++i) {
    const size_t partner = half + odd + i;
    const Pair bits = threefry(key, {static_cast<uint32_t>(i), static_cast<uint32_t>(partner)});
    put(i, bits[0]);
    put(partner, bits[1]);
  }
  if (odd) put(half, threefry(key, {static_cast<uint32_t>(half), 0})[0]);
  return out;
}

}  // namespace tessera::ops
