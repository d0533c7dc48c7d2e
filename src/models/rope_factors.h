// What a GGUF has as rope_freqs.weight, for files that lack it and for those that are made.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace tessera::models {

// Of the full layers' pairs in the published models.
inline constexpr double kRotatedShare = 0.25;

// Proportional RoPE: of the pairs (i, i + head_dim / 2) the first `rotated_share` rotates; the others get a factor that
// makes their angle vanish.
inline std::vector<float> rope_factors(int64_t head_dim, double rotated_share) {
  constexpr float kNoRotation = 1e30f;
  std::vector<float> factors(static_cast<size_t>(head_dim / 2), kNoRotation);
  std::fill_n(factors.begin(), static_cast<int64_t>(static_cast<double>(head_dim) * rotated_share) / 2, 1.0f);
  return factors;
}

}  // namespace tessera::models
