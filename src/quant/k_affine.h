// Q4_K and Q5_K differ in the width of a code and in where its bits lie; choosing the numbers is the same and done
// here.
#pragma once

#include <cstdint>

#include "base/float16.h"

namespace tessera::quant {

struct Q4_K;
struct Q5_K;

// 256 values in 8 sub-blocks of 32: value[i] = d * scales[i/32] * codes[i] - dmin * mins[i/32], unpacked.
struct AffineSuperBlock {
  F16 d, dmin;
  uint8_t scales[8], mins[8];  // 0..63
  uint8_t codes[256];          // 0..max_code
};

AffineSuperBlock unpack(const Q4_K& block);  // q4_k.cpp
AffineSuperBlock unpack(const Q5_K& block);  // q5_k.cpp

// The numbers that represent values[256] best with codes up to max_code (15 or 31).
AffineSuperBlock fit_super_block(const float* values, int max_code);
void dequantize(const AffineSuperBlock& block, float* out);

}  // namespace tessera::quant
