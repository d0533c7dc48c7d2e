// gguf_embedding: out[..., :] = w[ids[...], :] with w in the packed blocks of a GGUF file.
#pragma once

#include "base/dtype.h"
#include "base/result.h"
#include "ops/tensor.h"
#include "quant/format.h"

namespace tessera::ops {

struct GgufEmbeddingShape {
  int64_t n_ids = 0;
  int64_t vocab_size = 0;  // rows of the weight
  int64_t k = 0;           // values of a row
  Shape out;               // ids' sizes, then k
};

// weight u8 (V, row_bytes), raw; ids i32 or i64, any shape; out_dtype f32/f16/bf16. Checks the ids' values too: one
// outside [0, V) is kOutOfRange.
Result<GgufEmbeddingShape> check_gguf_embedding(const Tensor& weight, const quant::Format& format, const Tensor& ids,
                                                DType out_dtype);

Result<Tensor> gguf_embedding(const Tensor& weight, const quant::Format& format, const Tensor& ids, DType out_dtype);

}  // namespace tessera::ops
