// Weights in the array framework's own affine form, as its instructions read them (executorch-pte, "Repack rules"):
// codes of a few bits packed into words, a scale and a bias per group of neighbours in a row,
//
//   value[n][k] = scales[n][k / group_size] * code[n][k] + biases[n][k / group_size]
//
// Where the numbers come from - GGUF blocks, a quantized checkpoint - is the caller's business.
#pragma once

#include <string>

#include "base/shape.h"
#include "compile/program_builder.h"

namespace tessera::compile {

// Slots of a weight (N, K) that QuantizedMatmul and Dequantize can read.
struct AffineWeight {
  program::Tid packed;          // u32 (N, K * bits / 32): element j of a row is bits [j * bits, (j + 1) * bits)
  program::Tid scales, biases;  // (N, K / group_size)
  int bits = 0;                 // 2, 4, 5, 6 or 8
  int group_size = 0;           // 32, 64 or 128
  DType dtype = DType::kBF16;   // of scales and biases: the activations', or results are promoted to f32
  int64_t n = 0, k = 0;
};

// The bytes of such a weight. They may be lazy (program::Data::lazy).
struct AffineData {
  int bits = 0, group_size = 0;
  DType dtype = DType::kBF16;
  int64_t n = 0, k = 0;
  program::Data packed, scales;
  // Empty: every zero point is the middle of the codes, biases = -2^(bits - 1) * scales. They are then computed when
  // the program is loaded, and the file holds none.
  program::Data biases = {};
};

// Constants <name>_packed, <name>_scales and <name>_biases. Asking again by the same name gives the same slots.
AffineWeight add_affine_weight(ProgramBuilder& builder, const std::string& name, const AffineData& data);

// out (..., N) of `out_dtype` = x (..., K) of `x_dtype` times W^T.
void emit_affine_linear(ProgramBuilder& builder, const AffineWeight& weight, program::Tid x, DType x_dtype,
                        DType out_dtype, program::Out out);

// out (ids..., K) of `dtype` = rows of W at ids.
void emit_affine_embedding(ProgramBuilder& builder, const AffineWeight& weight, program::Tid ids, DType dtype,
                           program::Out out);

}  // namespace tessera::compile
