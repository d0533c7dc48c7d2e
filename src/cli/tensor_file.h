// Tensors in .npy files, as `tessera exec` reads and writes them.
#pragma once

#include <string>

#include "base/result.h"
#include "ops/tensor.h"

namespace tessera::cli {

// A copy in row-major order.
Result<ops::Tensor> read_npy(const std::string& path);
Status write_npy(const std::string& path, const ops::Tensor& tensor);

}  // namespace tessera::cli
