// Quantizing 32 values at once, for the formats without sub-blocks: Q4_0 and Q5_0 share the symmetric fit, Q4_1 and
// Q5_1 the one with an offset; only the number of codes differs.
#pragma once

#include <cstdint>

#include "base/float16.h"

namespace tessera::quant {

// value ~ d * (codes[i] - half), codes in 0 .. 2 * half - 1.
struct SymmetricBlock {
  F16 d;
  uint8_t codes[32];
};
SymmetricBlock fit_symmetric_block(const float* values, int half);

// value ~ d * codes[i] + m, codes in 0 .. max_code.
struct OffsetBlock {
  F16 d, m;
  uint8_t codes[32];
};
OffsetBlock fit_offset_block(const float* values, int max_code);

}  // namespace tessera::quant
