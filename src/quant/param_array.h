// Scales or zero points as a conversion stores them: f32, f16 or bf16, a contiguous array.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/dtype.h"
#include "base/result.h"

namespace tessera::quant {

struct ParamArray {
  DType dtype = DType::kF32;
  std::vector<std::byte> bytes;

  float operator[](size_t index) const;
};

// Rounded to nearest even. `dtype` is one of those for which is_param_dtype holds.
ParamArray to_params(std::span<const float> values, DType dtype);
bool is_param_dtype(DType dtype);

}  // namespace tessera::quant
