// From packed blocks to the forms that other kernels want, by the caller's policy: one place to choose, the rules are
// in quant/int4.h, quant/intx.h and quant/group_merge.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <variant>

#include "base/dtype.h"
#include "base/result.h"
#include "quant/format.h"
#include "quant/int4.h"
#include "quant/intx.h"

namespace tessera::quant {

struct ConversionPolicy {
  enum class Target {
    kInt4,        // nibbles: Q4_K
    kIntx,        // bytes: the formats of quant/intx.h
    kInt4OrIntx,  // the smallest the format has
  };
  Target target = Target::kInt4OrIntx;
  int max_group_size = 0;           // 0: the format's own groups; else merge without loss up to this size
  DType scale_dtype = DType::kF16;  // f32, f16 or bf16
};

using ConvertedTensor = std::variant<Int4Tensor, IntxTensor>;

Result<ConvertedTensor> convert(const Format& format, std::span<const std::byte> blocks, int64_t n_rows,
                                int64_t row_values, const ConversionPolicy& policy);

}  // namespace tessera::quant
