// Cosines and sines of a step's positions, computed once per step and shared by all layers with the same rotation.
// Angles are formed in f64: at position 262143 an f32 angle would be off by up to 0.008.
#pragma once

#include <cstdint>
#include <vector>

namespace tessera::runtime {

// One rotation: angle of pair i at position p is p / period[i] (executorch-pte 5.5.1: `freqs` are periods).
struct RopeSpec {
  std::vector<double> periods;  // (head_dim / 2)
  bool operator==(const RopeSpec&) const = default;
};

// period[i] = base^(2 i / head_dim).
RopeSpec rope_spec(double base, int64_t head_dim);

class RopeTable {
 public:
  // Fills the table for positions [start, start + n); keeps what is already there for the same range.
  void prepare(const RopeSpec& spec, int64_t start, int64_t n);
  const float* cos(int64_t token) const { return cos_.data() + token * half_; }
  const float* sin(int64_t token) const { return sin_.data() + token * half_; }

 private:
  int64_t start_ = -1, n_ = 0, half_ = 0;
  std::vector<float> cos_, sin_;  // (n, head_dim / 2)
};

}  // namespace tessera::runtime
