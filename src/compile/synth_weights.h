// Random weights, drawn straight into packed blocks. The generator is counter-based: a block's bytes follow from the
// key and the block's index alone, so any thread may draw any part in any order.
#pragma once

#include <cstdint>
#include <string_view>

#include "quant/format.h"

namespace tessera::compile {

// Stream of a tensor: seeds and names that differ give unrelated numbers.
uint64_t weight_key(uint64_t seed, std::string_view tensor_name);

// Values of about this mean and standard deviation; formats drawn by their bits (all but floats and those between Q4_1
// and Q5_1) have mean 0 whatever is asked, the others are uniform.
struct WeightDistribution {
  float mean = 0;
  float std_dev = 1;
};

// Values [first_value, first_value + n_values) of the stream, both multiples of the block length. The format must be
// one that Tessera reads; NVFP4's scales are coarse where the deviation is far below 1.
void draw_weights(const quant::Format& format, uint64_t key, WeightDistribution distribution, int64_t first_value,
                  int64_t n_values, void* out);

}  // namespace tessera::compile
