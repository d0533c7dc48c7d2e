// The codebooks of IQ1, IQ2 and IQ3 (quant/iq_codebooks.h) in the form that unpackers look up: a dword for each entry.
//
//   IQ1, IQ2   byte j holds the 2-bit codes of values j (low nibble) and j + 4 (high nibble)
//   IQ3        byte j is the magnitude of value j plus the bias of the format's codes
#pragma once

#include <cstdint>

namespace tessera::kernels::cpu {

inline constexpr int kIQ3_XXS_bias = 64, kIQ3_S_bias = 16;

struct Codebooks {
  alignas(64) uint32_t iq1[2048];
  uint32_t iq2_xxs[256], iq2_xs[512], iq2_s[1024];
  uint32_t iq3_xxs[256], iq3_s[512];
};
extern const Codebooks kCodebooks;

}  // namespace tessera::kernels::cpu
