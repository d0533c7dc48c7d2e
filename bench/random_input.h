// What the benchmarks of CPU kernels read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "quant/format.h"

namespace tessera::bench {

// Blocks of random codes; the scales are whatever small numbers the bytes give: no f16 or bf16 of them is infinite or
// NaN.
inline void fill_random_blocks(std::byte* out, size_t n_bytes) {
  std::mt19937_64 rng(1);
  for (size_t i = 0; i + 8 <= n_bytes; i += 8) {
    const uint64_t word = rng() & 0xbfbfbfbfbfbfbfbf;
    std::memcpy(out + i, &word, 8);
  }
}

inline std::vector<float> normal_values(size_t n) {
  std::mt19937_64 rng(2);
  std::normal_distribution<float> normal;
  std::vector<float> out(n);
  for (float& value : out) value = normal(rng);
  return out;
}

// Random weights of any format. Floats and powers of two of random bits would be subnormal at times, and slow.
inline void fill_random_weights(const quant::Format& format, int64_t n_values, std::byte* out) {
  if (quant::dense_dtype(format))
    return format.quantize(normal_values(static_cast<size_t>(n_values)).data(), n_values, out);
  const int64_t bytes = format.bytes_for(n_values);
  fill_random_blocks(out, static_cast<size_t>(bytes));
  if (format.type != quant::GgmlType::kMXFP4) return;
  for (int64_t i = 0; i < bytes; i += format.block_bytes) out[i] = std::byte{120} | (out[i] & std::byte{7});
}

}  // namespace tessera::bench
