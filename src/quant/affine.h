// Matrices as codes with a scale and a zero point per group of neighbours in a row,
//
//   value[n][k] = scale[n][k / group_size] * (code[n][k] - zero[n][k / group_size])
//
// made or read a few rows at a time, because all of them need not fit in memory: a weight quantized on its way into a
// program, or one that a checkpoint holds quantized already.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"

namespace tessera::quant {

struct AffineShape {
  int64_t n = 0, k = 0;
  int bits = 0;            // codes are 0 .. 2^bits - 1
  int64_t group_size = 0;  // divides k
  // Every zero is 2^(bits - 1): a symmetric quantization, whose zeros need not be stored.
  bool is_centered = false;
  bool operator==(const AffineShape&) const = default;
};

struct AffineRows {
  std::vector<uint8_t> codes;        // (rows, k)
  std::vector<float> scales, zeros;  // (rows, k / group_size); zeros in the domain of the codes
};

class AffineMatrix {
 public:
  virtual ~AffineMatrix() = default;
  const AffineShape& shape() const { return shape_; }
  // Rows [begin, end) with 0 <= begin < end <= n. Thread-safe.
  virtual Result<AffineRows> rows(int64_t begin, int64_t end) const = 0;

 protected:
  explicit AffineMatrix(const AffineShape& shape) : shape_(shape) {}

 private:
  AffineShape shape_;
};

// (rows, k)
std::vector<float> dequantize(const AffineRows& rows, const AffineShape& shape);

}  // namespace tessera::quant
