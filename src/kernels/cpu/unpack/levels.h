// Tables of sixteen levels as unsigned codes with a bias.
#pragma once

#include <cstdint>

#include "quant/iq4_nl.h"
#include "quant/mxfp4.h"

namespace tessera::kernels::cpu {

struct LevelTable {
  uint8_t code[16];
};

consteval LevelTable biased(const int8_t (&levels)[16], int bias) {
  LevelTable table{};
  for (int i = 0; i < 16; ++i) table.code[i] = static_cast<uint8_t>(levels[i] + bias);
  return table;
}

inline constexpr int kIQ4Bias = 128, kE2M1Bias = 16;
alignas(16) static constexpr LevelTable kIQ4Codes = biased(quant::kIQ4Levels, kIQ4Bias);
alignas(16) static constexpr LevelTable kE2M1Codes = biased(quant::kE2M1Doubled, kE2M1Bias);

}  // namespace tessera::kernels::cpu
