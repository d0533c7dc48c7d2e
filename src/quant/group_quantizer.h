// From floats to codes with a scale and a zero point per group: what the recipes for checkpoints ask for. Formulas:
// neighbour-systems 3.4 (min-max) and 3.5 (HQQ, "half-quadratic quantization", Badri and Shaji, 2023). Block formats
// have searches of their own (quant/fit.h).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "base/mapped_file.h"
#include "base/result.h"
#include "quant/affine.h"
#include "quant/format.h"

namespace tessera::quant {

enum class GroupMethod {
  kMinMax,  // the extreme values get the extreme codes
  kHqq,     // the zero point moves until a sparse error norm (p = 0.7) is least: outliers pay, the rest gains
};

struct GroupQuantization {
  int bits = 4;            // 4, 5, 6 or 8
  int64_t group_size = 0;  // 0: a whole row
  bool symmetric = false;
  GroupMethod method = GroupMethod::kMinMax;
  bool operator==(const GroupQuantization&) const = default;
};

// Errors: bits or a group size that there is no rule for, symmetric HQQ.
Status check(const GroupQuantization& how, int64_t row_values);

// Parameters of one group, both rounded to bf16, as checkpoints store them. `codes` receives one code per value,
// computed with the rounded parameters (min-max) or the exact ones (HQQ).
struct GroupParameters {
  float scale = 0, zero = 0;  // zero in the domain of the codes
};
GroupParameters quantize_group(std::span<const float> values, const GroupQuantization& how, uint8_t* codes);

// A matrix of plain floats (F32, F16, BF16) that is quantized as its rows are asked for.
struct FloatMatrix {
  const Format* format = nullptr;
  std::span<const std::byte> bytes;  // (n, k), kept alive by `owner`
  std::shared_ptr<const void> owner;
  const MappedFile* mapped = nullptr;  // pages of rows that were read are given back
  int64_t n = 0, k = 0;
};
Result<std::shared_ptr<const AffineMatrix>> quantized(FloatMatrix matrix, const GroupQuantization& how);

}  // namespace tessera::quant
