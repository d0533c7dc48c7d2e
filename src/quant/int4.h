// The portable int4 form of ExecuTorch (extension/llm/export/int4.py): unsigned codes, two to a byte in weight order,
// and a real zero point in the domain of the codes.
//
//   value[n][k] = (code - zero_point[k / group_size][n]) * scale[k / group_size][n]
//
// Exact up to the rounding of the parameters, except for groups whose scale is 0: their constant is lost (0 instead).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/dtype.h"
#include "base/result.h"
#include "quant/format.h"
#include "quant/param_array.h"

namespace tessera::quant {

struct Int4Tensor {
  int64_t n_rows = 0, row_values = 0;
  int group_size = 0;
  std::vector<uint8_t> packed;   // (n_rows, row_values / 2): even value -> low nibble, odd value -> high nibble
  ParamArray scale, zero_point;  // (row_values / group_size, n_rows): transposed, as the kernels read them
};

// Q4_K only (kNotImplemented otherwise). `max_group_size`: 0 keeps the native 32; see quant/group_merge.h.
Result<Int4Tensor> to_int4(const Format& format, std::span<const std::byte> blocks, int64_t n_rows, int64_t row_values,
                           DType param_dtype, int max_group_size = 0);
// What the tensor stands for, (n_rows, row_values) in f32.
std::vector<float> dequantize(const Int4Tensor& tensor);

}  // namespace tessera::quant
