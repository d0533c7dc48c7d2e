// A weight as int8 codes with a scale per group: torchao's IntxUnpackedToInt8Tensor, as ExecuTorch's GGUF loader fills
// it.
//
//   value[n][k] = (code - zero_point[n][k / group_size]) * scale[n][k / group_size]
//
// Codes are centred. The affine formats have real zero points (computed in f32, then rounded to the scale's type):
// Q4_K and Q4_1 -8..7, Q5_K and Q5_1 -16..15. The symmetric ones have none: Q4_0 -8..7, Q5_0 -16..15, Q6_K -32..31,
// Q8_0 -128..127. Groups with scale 0 lose their constant, as in quant/int4.h.
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

struct IntxTensor {
  int64_t n_rows = 0, row_values = 0;
  int group_size = 0;
  int target_bits = 0;                     // the type torchao is told: int4 and int5, int8 for symmetric ones
  std::vector<int8_t> codes;               // (n_rows, row_values)
  ParamArray scale;                        // (n_rows, row_values / group_size)
  ParamArray zero_point;                   // the same shape, empty when integer_zero_point is in use
  std::vector<int8_t> integer_zero_point;  // symmetric: zeros of the same shape, else empty
};

// The formats of unpack_groups (kNotImplemented otherwise). `max_group_size`: 0 keeps the native 32 or 16.
Result<IntxTensor> to_intx(const Format& format, std::span<const std::byte> blocks, int64_t n_rows, int64_t row_values,
                           DType param_dtype = DType::kF16, int max_group_size = 0);
// What the tensor stands for, (n_rows, row_values) in f32.
std::vector<float> dequantize(const IntxTensor& tensor);

}  // namespace tessera::quant
