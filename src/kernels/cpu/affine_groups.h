// Weights in the array framework's own form (ops/mlx_quant.h, mode affine): codes of a few bits packed into the words
// of a row, and in arrays of their own a scale and a bias for each group of neighbours,
//
//   value = scale * code + bias
//
// Element j of a row occupies bits [j * bits, (j + 1) * bits) of its bytes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.h"

namespace tessera::kernels::cpu {

// Borrowed. How the codes of a matrix are to be read; they lie elsewhere (LinearWeight::data).
struct AffineGroups {
  int bits = 0;                       // 2, 3, 4, 5, 6 or 8
  int group_size = 0;                 // 16, 32, 64 or 128
  DType dtype = DType::kF32;          // of scales and biases: f32, f16 or bf16
  const std::byte* scales = nullptr;  // (n, k / group_size)
  const std::byte* biases = nullptr;  // (n, k / group_size)

  // Groups that match those of the activations (arithmetic.md).
  bool has_integer_arithmetic() const { return group_size >= 32; }
  int64_t code_row_bytes(int64_t k) const { return k * bits / 8; }
  int64_t param_row_bytes(int64_t k) const { return k / group_size * static_cast<int64_t>(size_of(dtype)); }
  // The same from row `row` on.
  AffineGroups from_row(int64_t row, int64_t k) const;

  float scale(int64_t index) const;
  float bias(int64_t index) const;
};

// Codes of 8 bits are taken less 128 in the integer arithmetic, which lets them be signed bytes.
constexpr int center_of_codes(int bits) { return bits == 8 ? 128 : 0; }

// Code `j` of a row.
uint32_t code_at(const std::byte* row, int64_t j, int bits);

// Values [begin, begin + n) of row `row` of k values, whose codes begin at `codes`: fma(scale, code, bias). `begin` and
// n are multiples of the group.
void dequantize(const AffineGroups& groups, const std::byte* codes, int64_t row, int64_t k, int64_t begin, int64_t n,
                float* out);

}  // namespace tessera::kernels::cpu
