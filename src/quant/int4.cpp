#include "quant/int4.h"

#include "quant/group_codes.h"

namespace tessera::quant {
namespace {

// (n_rows, n_groups) -> (n_groups, n_rows)
std::vector<float> transposed(const std::vector<float>& values, int64_t n_rows, int64_t n_groups) {
  std::vector<float> out(values.size());
  for (int64_t n = 0; n < n_rows; ++n)
    for (int64_t g = 0; g < n_groups; ++g) {
      out[static_cast<size_t>(g * n_rows + n)] = values[static_cast<size_t>(n * n_groups + g)];
    }
  return out;
}

}  // namespace

Result<Int4Tensor> to_int4(const Format& format, std::span<const std::byte> blocks, int64_t n_rows, int64_t row_values,
                           DType param_dtype, int max_group_size) {
  if (format.type != GgmlType::kQ4_K) {
    return not_implemented("conversion of {} to int4; supported: {}", format.name, find_format(GgmlType::kQ4_K)->name);
  }
  if (!is_param_dtype(param_dtype)) {
    return invalid_argument("int4 scales are f32, f16 or bf16, not {}", name_of(param_dtype));
  }
  const GroupCodes groups = TRY(unpack_groups(format, blocks, n_rows, row_values, max_group_size));
  const GroupParams& params = groups.params;
  Int4Tensor out{.n_rows = n_rows, .row_values = row_values, .group_size = params.group_size};
  out.packed.resize(groups.codes.size() / 2);
  for (size_t j = 0; j < out.packed.size(); ++j) {
    out.packed[j] = static_cast<uint8_t>(groups.codes[2 * j] | groups.codes[2 * j + 1] << 4);
  }
  out.scale = to_params(transposed(params.scales, n_rows, params.n_groups), param_dtype);
  out.zero_point = to_params(transposed(groups.zeros(), n_rows, params.n_groups), param_dtype);
  return out;
}

std::vector<float> dequantize(const Int4Tensor& tensor) {
  std::vector<float> out(tensor.packed.size() * 2);
  for (size_t i = 0; i < out.size(); ++i) {
    const auto row = static_cast<int64_t>(i) / tensor.row_values, column = static_cast<int64_t>(i) % tensor.row_values;
    const auto group = static_cast<size_t>(column / tensor.group_size * tensor.n_rows + row);
    const int code = (tensor.packed[i / 2] >> 4 * (i % 2)) & 15;
    out[i] = (static_cast<float>(code) - tensor.zero_point[group]) * tensor.scale[group];
  }
  return out;
}

}  // namespace tessera::quant
