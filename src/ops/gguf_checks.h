// What gguf_linear and gguf_embedding check alike: a raw weight in a readable format.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "ops/tensor.h"
#include "quant/format.h"

namespace tessera::ops {

struct GgufRows {
  int64_t n_rows = 0;
  int64_t k = 0;  // values of a row
  int64_t row_bytes = 0;
};

// weight u8 (N, row_bytes), rows of whole blocks. Errors: kNotImplemented for a format that cannot be read as numbers,
// naming it and those that can.
Result<GgufRows> check_gguf_weight(const Tensor& weight, const quant::Format& format);
// f32, f16 or bf16.
Status check_activation_dtype(DType dtype, std::string_view name);

}  // namespace tessera::ops
