#include "gguf/tensor_info.h"

#include <fmt/ranges.h>

#include "base/checked_math.h"
#include "gguf/layout.h"

namespace tessera::gguf {

std::string dims_to_string(const std::vector<int64_t>& dims) { return fmt::format("[{}]", fmt::join(dims, ", ")); }

Result<uint64_t> checked_size(const std::string& name, const quant::Format& format, const std::vector<int64_t>& dims) {
  if (name.size() > kMaxNameBytes) {
    return invalid_format("tensor '{}': a name has at most {} bytes, this one {}", name, kMaxNameBytes, name.size());
  }
  if (dims.size() > kMaxDims) {
    return invalid_format("tensor '{}': at most {} dimensions, found {}", name, kMaxDims, dims.size());
  }
  int64_t n_values = 1;
  for (const int64_t dim : dims) {
    const auto product = checked_mul(n_values, dim);
    if (dim <= 0 || !product) return invalid_format("tensor '{}': impossible size {}", name, dims_to_string(dims));
    n_values = *product;
  }
  const int64_t row_values = dims.empty() ? 1 : dims[0];
  if (row_values % format.block_values != 0) {
    return invalid_format("tensor '{}': rows of {} values are not whole blocks of {} ({} values)", name, row_values,
                          format.name, format.block_values);
  }
  const auto size = checked_mul(n_values / format.block_values, int64_t{format.block_bytes});
  if (!size) return invalid_format("tensor '{}': impossible size {}", name, dims_to_string(dims));
  return static_cast<uint64_t>(*size);
}

}  // namespace tessera::gguf
