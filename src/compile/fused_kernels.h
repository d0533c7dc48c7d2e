// The fused kernels that read packed weights, as MetalKernel instructions: names, template arguments, grids and outputs
// are those of ExecuTorch's GGUF kernels (executorch-pte, "Fused kernels"). Apple GPUs compile the source text; other
// backends look the name up.
#pragma once

#include "base/shape.h"
#include "compile/step_values.h"
#include "quant/format.h"

namespace tessera::compile {

// Whether ExecuTorch has kernels for the format. The names of other formats' kernels are ours alone.
bool has_fused_kernel(const quant::Format& format);

// A weight constant: u8 (N, row bytes), blocks as in the file.
struct PackedWeight {
  program::Tid blocks;
  const quant::Format* format = nullptr;
  int64_t n = 0, k = 0;
};

// out (..., N) = x (..., K) * W^T, both of `dtype`. With a dynamic number of rows the step chooses: one row takes the
// mat-vec kernel, anything else the mat-mat kernel; a known number emits its kernel alone.
void emit_linear(ProgramBuilder& builder, StepValues& step, const PackedWeight& weight, program::Tid x,
                 const Shape& x_shape, DType dtype, program::Out out);

// out (1, T, K) of `dtype` = rows of W at ids (1, T)
void emit_embedding(ProgramBuilder& builder, StepValues& step, const PackedWeight& weight, program::Tid ids,
                    const Shape& ids_shape, DType dtype, program::Out out);

}  // namespace tessera::compile
