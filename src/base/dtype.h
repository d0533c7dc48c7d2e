// Element types of tensors. The values are ExecuTorch's ScalarType codes (schema/scalar_type.fbs), which the program
// format stores; only the types the MLX delegate computes with are listed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace tessera {

enum class DType : int8_t {
  kU8 = 0,
  kI8 = 1,
  kI16 = 2,
  kI32 = 3,
  kI64 = 4,
  kF16 = 5,
  kF32 = 6,
  kF64 = 7,
  kBool = 11,
  kBF16 = 15,
  kU16 = 27,
  kU32 = 28,
};

// Bytes of one element; 0 for a code that is not in the list above.
size_t size_of(DType dtype);
// "f32", "bf16", "i64", ...; "?" for an unknown code.
std::string_view name_of(DType dtype);
std::optional<DType> parse_dtype(std::string_view name);
inline bool is_known(DType dtype) { return size_of(dtype) != 0; }
inline bool is_float(DType dtype) {
  return dtype == DType::kF16 || dtype == DType::kF32 || dtype == DType::kF64 || dtype == DType::kBF16;
}
// What activations, caches, scales and weights that are no blocks may be.
inline bool is_activation_dtype(DType dtype) { return is_float(dtype) && dtype != DType::kF64; }

}  // namespace tessera
