// What a GGUF file says about one tensor.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "quant/format.h"

namespace tessera::gguf {

struct TensorInfo {
  std::string name;
  const quant::Format* format = nullptr;  // never null in a file that opened
  std::vector<int64_t> dims;              // ggml's order: dims[0] is contiguous; a (N, K) matrix has dims {K, N}
  uint64_t offset = 0;                    // of the data, from the start of its part's file
  uint64_t size_bytes = 0;
  int part = 0;  // index of the file in a split set; 0 otherwise

  // K and N of a matrix; leading dims beyond the second count as rows.
  int64_t row_values() const { return dims.empty() ? 1 : dims[0]; }
  int64_t rows() const { return row_values() == 0 ? 0 : n_values() / row_values(); }
  int64_t n_values() const {
    int64_t n = 1;
    for (int64_t d : dims) n *= d;
    return n;
  }
};

// "[5376, 21504]"
std::string dims_to_string(const std::vector<int64_t>& dims);

// Bytes of a tensor, or an error saying why its name, dims or format cannot be in a GGUF file: a name that is too long,
// too many dims, an empty or overflowing size, rows that are not whole blocks.
Result<uint64_t> checked_size(const std::string& name, const quant::Format& format, const std::vector<int64_t>& dims);

}  // namespace tessera::gguf
