// The codebooks of the IQ1, IQ2 and IQ3 formats: points on a lattice that ggml's author chose for how often they occur
// in real weights. An entry holds the codes of a whole group, value 0 in the low bits:
//
//   IQ2   8 values x 2 bits: magnitudes kIQ2Magnitudes[code]
//   IQ3   4 values x 3 bits: magnitudes kIQ3_XXS_magnitudes[code], or 2 * code + 1 in IQ3_S
//   IQ1   8 values x 2 bits: code - 1, in {-1, 0, 1}
//
// Source of the numbers: ggml, src/ggml-common.h (MIT), in their order and packed as above.
#pragma once

#include <bit>
#include <cstdint>

namespace tessera::quant {

extern const uint16_t kIQ2_XXS_grid[256];
extern const uint16_t kIQ2_XS_grid[512];
extern const uint16_t kIQ2_S_grid[1024];
extern const uint16_t kIQ3_XXS_grid[256];
extern const uint16_t kIQ3_S_grid[512];
extern const uint16_t kIQ1_grid[2048];

constexpr uint8_t kIQ2Magnitudes[4] = {8, 25, 43, 0};  // code 3 does not occur
constexpr uint8_t kIQ3_XXS_magnitudes[8] = {4, 12, 20, 28, 36, 44, 52, 62};
constexpr uint8_t kIQ3_S_magnitudes[8] = {1, 3, 5, 7, 9, 11, 13, 15};
constexpr float kIQ1Delta = 0.125f;

// The eight sign bits (bit i is value i, 1 is minus) of a 7-bit sign field: the eighth makes their number even.
inline unsigned signs_of_field(uint32_t field) {
  field &= 127;
  return field | static_cast<unsigned>(__builtin_parity(field)) << 7;
}

// Without a branch: signs are as good as random.
inline float negate_if(unsigned bit, float value) {
  return std::bit_cast<float>(std::bit_cast<uint32_t>(value) ^ bit << 31);
}

// out[i] = scale * magnitude of value i, negated where bit i of `signs` is set; 8 or 4 values.
inline void write_iq2_group(uint16_t entry, unsigned signs, float scale, float* out) {
  for (int i = 0; i < 8; ++i) {
    const float magnitude = scale * static_cast<float>(kIQ2Magnitudes[(entry >> 2 * i) & 3]);
    out[i] = negate_if((signs >> i) & 1, magnitude);
  }
}
inline void write_iq3_group(uint16_t entry, const uint8_t (&magnitudes)[8], unsigned signs, float scale, float* out) {
  for (int i = 0; i < 4; ++i) {
    const float magnitude = scale * static_cast<float>(magnitudes[(entry >> 3 * i) & 7]);
    out[i] = negate_if((signs >> i) & 1, magnitude);
  }
}
inline void write_iq1_group(uint16_t entry, float delta, float scale, float* out) {
  for (int i = 0; i < 8; ++i) out[i] = scale * (static_cast<float>(((entry >> 2 * i) & 3) - 1) + delta);
}

}  // namespace tessera::quant
