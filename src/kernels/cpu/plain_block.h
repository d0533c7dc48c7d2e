// A quantized block as plain numbers, one at a time: what the reference linear computes with and the vector unpackers
// are tested against. value[i] = d * scale[j] * code[i] - dmin * min[j], j = i / 16 in the block.
#pragma once

#include <cstdint>

#include "quant/format.h"

namespace tessera::kernels::cpu {

struct PlainBlock {
  int16_t code[256];  // signed where the format's zero lies inside its range
  int group;          // values whose products are summed before they meet their scale and that of the activations
  int scale[16];      // of 16 values each; 1 where the format has none
  int min[16];        // 0 where the format has none
  float d = 0;
  float dmin = 0;  // -m for Q4_1 and Q5_1
  bool has_min = false;
};

using PlainUnpackFn = void (*)(const void* block, PlainBlock& out);

// nullptr for a format without integer arithmetic.
PlainUnpackFn plain_unpack(const quant::Format& format);

}  // namespace tessera::kernels::cpu
