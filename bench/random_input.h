// What the benchmarks of CPU kernels read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

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

}  // namespace tessera::bench
