#include "quant/convert.h"

#include <utility>

namespace tessera::quant {

Result<ConvertedTensor> convert(const Format& format, std::span<const std::byte> blocks, int64_t n_rows,
                                int64_t row_values, const ConversionPolicy& policy) {
  using Target = ConversionPolicy::Target;
  const bool as_int4 =
      policy.target == Target::kInt4 || (policy.target == Target::kInt4OrIntx && format.type == GgmlType::kQ4_K);
  ConvertedTensor out;
  if (as_int4) {
    out = TRY(to_int4(format, blocks, n_rows, row_values, policy.scale_dtype, policy.max_group_size));
  } else {
    out = TRY(to_intx(format, blocks, n_rows, row_values, policy.scale_dtype, policy.max_group_size));
  }
  return out;
}

}  // namespace tessera::quant
