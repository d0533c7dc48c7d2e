#include "quant/intx.h"

#include "quant/group_codes.h"

namespace tessera::quant {

Result<IntxTensor> to_intx(const Format& format, std::span<const std::byte> blocks, int64_t n_rows, int64_t row_values,
                           DType param_dtype, int max_group_size) {
  if (!is_param_dtype(param_dtype)) {
    return invalid_argument("int8 scales are f32, f16 or bf16, not {}", name_of(param_dtype));
  }
  const GroupCodes groups = TRY(unpack_groups(format, blocks, n_rows, row_values, max_group_size));
  IntxTensor out{.n_rows = n_rows, .row_values = row_values, .group_size = groups.params.group_size};
  const bool symmetric = groups.center != 0;
  out.target_bits = symmetric ? 8 : groups.code_bits;
  const int center = 1 << (groups.code_bits - 1);
  out.codes.resize(groups.codes.size());
  for (size_t i = 0; i < out.codes.size(); ++i) out.codes[i] = static_cast<int8_t>(groups.codes[i] - center);
  out.scale = to_params(groups.params.scales, param_dtype);
  if (symmetric) {
    out.integer_zero_point.resize(groups.params.scales.size());
  } else {
    std::vector<float> zeros = groups.zeros();
    for (float& zero : zeros) zero -= static_cast<float>(center);
    out.zero_point = to_params(zeros, param_dtype);
  }
  return out;
}

std::vector<float> dequantize(const IntxTensor& tensor) {
  std::vector<float> out(tensor.codes.size());
  for (size_t i = 0; i < out.size(); ++i) {
    const size_t group = i / static_cast<size_t>(tensor.group_size);  // groups do not cross rows
    const float zero = tensor.integer_zero_point.empty() ? tensor.zero_point[group]
                                                         : static_cast<float>(tensor.integer_zero_point[group]);
    out[i] = (static_cast<float>(tensor.codes[i]) - zero) * tensor.scale[group];
  }
  return out;
}

}  // namespace tessera::quant
