// Weights in the array framework's own quantized form, as QuantizedMatmul, Dequantize and GatherQmm read them: codes
// packed into u32 words, one scale (and bias) per group of neighbours in a row. GGUF blocks are another matter:
// ops/gguf_linear.h.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "ops/tensor.h"

namespace tessera::ops {

// How a tensor is quantized.
//   affine: value = scale * code + bias; bits 2, 3, 4, 5, 6, 8; groups of 16, 32, 64, 128; float scales and biases
//   mxfp4:  e2m1 codes, groups of 32, scale 2^(byte - 127)
//   mxfp8:  e4m3 codes, groups of 32, scale 2^(byte - 127)
//   nvfp4:  e2m1 codes, groups of 16, e4m3 scale, optionally times global_scale / (448 * 6)
// Element j of a row occupies bits [j * bits, (j + 1) * bits) of its words, read as one little-endian bit stream.
struct QuantizedWeight {
  const Tensor& codes;   // u32 (..., R, C * bits / 32)
  const Tensor& scales;  // (..., R, C / group_size); u8 unless affine
  const Tensor* biases = nullptr;
  int group_size = 0, bits = 0;
  std::string_view mode;
  const Tensor* global_scale = nullptr;  // f32, one element; nvfp4 only
};

// (..., R, C) in `dtype`; absent: the promoted dtype of scales and biases (affine) or bf16. Affine arithmetic rounds to
// the scales' dtype at each step.
Result<Tensor> dequantize(const QuantizedWeight& w, const DType* dtype);

// x (..., K) times W^T for W (N, K) when `transpose`, else times W (K, N), whose groups then run along N. Codes may
// have leading batch axes, which broadcast with x's. Result dtype: x's promoted with scales and biases (affine), else
// x's. Sums in double over unrounded values.
Result<Tensor> quantized_matmul(const Tensor& x, const QuantizedWeight& w, bool transpose);

// The same for the pairs of batch entries that the indices name (ops/matmul.h, gather_mm).
Result<Tensor> gather_qmm(const Tensor& x, const QuantizedWeight& w, const Tensor* lhs_indices,
                          const Tensor* rhs_indices, bool transpose);

// The code of element j of a row.
uint32_t unpack_code(const uint32_t* words, int64_t j, int bits);
// Small floats as numbers: 4-bit e2m1, 8-bit e4m3 (no infinities, 0x7f is NaN), power-of-two scale bytes (0xff is NaN).
double from_e2m1(uint32_t code);
double from_e4m3(uint32_t code);
double from_e8m0(uint32_t code);

}  // namespace tessera::ops
