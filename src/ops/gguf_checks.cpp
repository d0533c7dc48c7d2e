#include "ops/gguf_checks.h"

#include "ops/checks.h"

namespace tessera::ops {

Result<GgufRows> check_gguf_weight(const Tensor& weight, const quant::Format& format) {
  if (!format.dequantize) {
    const auto readable = [](const quant::Format& f) { return f.dequantize != nullptr; };
    return not_implemented("weights in {}; supported: {}", format.name, quant::list_formats(readable));
  }
  TRY(check_rank(weight, 2, "weight"));
  if (weight.dtype != DType::kU8) return invalid_argument("weight must be raw u8, found {}", describe(weight));
  const int64_t row_bytes = weight.shape[1];
  if (row_bytes == 0 || row_bytes % format.block_bytes != 0)
    return invalid_argument("rows of {} bytes are not whole {} blocks of {}", row_bytes, format.name,
                            format.block_bytes);
  return GgufRows{weight.shape[0], row_bytes / format.block_bytes * format.block_values, row_bytes};
}

Status check_activation_dtype(DType dtype, std::string_view name) {
  if (is_activation_dtype(dtype)) return {};
  return invalid_argument("{} must be f32, f16 or bf16, found {}", name, tessera::name_of(dtype));
}

}  // namespace tessera::ops
