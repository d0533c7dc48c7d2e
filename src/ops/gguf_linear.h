// gguf_linear: out[m, n] = sum_k x[m, k] * w[n, k] (+ bias[n]) with w in the packed blocks of a GGUF file. The op owns
// its identity, shape rule and checks; the format is an argument. Every backend's kernel starts from check_gguf_linear.
#pragma once

#include <cstdint>

#include "base/dtype.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "ops/tensor.h"
#include "quant/format.h"

namespace tessera::ops {

struct GgufLinearShape {
  int64_t m = 0;  // rows of x: product of all its sizes but the last
  int64_t n = 0;  // rows of the weight
  int64_t k = 0;  // values of a row, a multiple of the format's block
  Shape out;      // x's sizes with the last replaced by n
};

// x f32/f16/bf16 (..., K); weight u8 (N, row_bytes), raw; bias absent or (N), any float dtype; out_dtype a float dtype.
// Errors: what is wrong, expected and found; kNotImplemented for a format that cannot be read as numbers.
Result<GgufLinearShape> check_gguf_linear(const Tensor& x, const Tensor& weight, const quant::Format& format,
                                          const Tensor* bias, DType out_dtype);

// The meaning: rows dequantized to f32 one at a time, each output a dot_exact, bias added in f32, one final rounding.
// Rows of the weight are shared out over `pool` (may be null); the result does not depend on it.
Result<Tensor> gguf_linear(const Tensor& x, const Tensor& weight, const quant::Format& format, const Tensor* bias,
                           DType out_dtype, ThreadPool* pool = nullptr);

// The canonical exact dot product, which vector kernels reproduce bit for bit: 16 lanes of f32 fused multiply-adds,
// lane l taking elements 16 i + l, then the tree acc[l] += acc[l + 8], + 4, + 2, + 1. A ragged end (k % 16 != 0) reads
// as zeros.
float dot_exact(const float* w, const float* x, int64_t k);

}  // namespace tessera::ops
