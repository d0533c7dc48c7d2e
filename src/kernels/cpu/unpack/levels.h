// The levels of IQ4_NL and IQ4_XS as unsigned codes with a bias of 128.
#pragma once

#include <cstdint>

#include "quant/iq4_nl.h"

namespace tessera::kernels::cpu {

struct LevelTable {
  uint8_t code[16];
};

consteval LevelTable biased_levels() {
  LevelTable table{};
  for (int i = 0; i < 16; ++i) table.code[i] = static_cast<uint8_t>(quant::kIQ4Levels[i] + 128);
  return table;
}

alignas(16) static constexpr LevelTable kIQ4CodeTable = biased_levels();
static constexpr const uint8_t* kIQ4Codes = kIQ4CodeTable.code;

}  // namespace tessera::kernels::cpu
