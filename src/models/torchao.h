// Quantized tensors as torchao stores them in safetensors (neighbour-systems 3.1): a tensor a.b.weight is the pieces
// a.b._weight_qdata, a.b._weight_scale and a.b._weight_zero_point, and the files' metadata says of what class it is.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "quant/affine.h"
#include "safetensors/checkpoint.h"

namespace tessera::models {

// What an Int4Tensor's zero points are. The class name stands for two layouts and the files do not say which.
enum class Int4Zeros {
  kCodes,   // ExecuTorch: codes 0..15, value = scale * (code - zero)
  kValues,  // torchao's own quantizer: codes -8..7 in two's complement, value = scale * code + zero
};

// The names of all tensors, quantized or not, when the checkpoint says so ("tensor_names"); else empty.
Result<std::vector<std::string>> torchao_names(const safetensors::Checkpoint& checkpoint);

// The matrix of that name; null when it is stored plainly. Errors: kNotImplemented (another class, an activation scale
// or quantization), kInvalidFormat (pieces that are missing or do not fit together), kInvalidArgument (zero points that
// look like the other layout's).
Result<std::shared_ptr<const quant::AffineMatrix>> torchao_matrix(const safetensors::Checkpoint& checkpoint,
                                                                  const std::string& name, Int4Zeros zeros);

}  // namespace tessera::models
