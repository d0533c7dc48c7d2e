#include "ops/dtype_rules.h"

#include <algorithm>

namespace tessera::ops {
namespace {

DType signed_of_size(size_t bytes) {
  switch (bytes) {
    case 1:
      return DType::kI8;
    case 2:
      return DType::kI16;
    case 4:
      return DType::kI32;
    default:
      return DType::kI64;
  }
}

DType promote_integers(DType a, DType b) {
  const size_t size_a = size_of(a), size_b = size_of(b);
  if (is_signed_integer(a) == is_signed_integer(b)) return size_a >= size_b ? a : b;
  const size_t of_signed = is_signed_integer(a) ? size_a : size_b;
  const size_t of_unsigned = is_signed_integer(a) ? size_b : size_a;
  return signed_of_size(std::max(of_signed, 2 * of_unsigned));
}

}  // namespace

bool is_signed_integer(DType dtype) {
  return dtype == DType::kI8 || dtype == DType::kI16 || dtype == DType::kI32 || dtype == DType::kI64;
}

DType promote(DType a, DType b) {
  if (a == b) return a;
  if (a == DType::kBool) return b;
  if (b == DType::kBool) return a;
  if (is_float(a) && is_float(b)) {
    if (size_of(a) != size_of(b)) return size_of(a) > size_of(b) ? a : b;
    return DType::kF32;  // f16 with bf16: neither holds the other
  }
  if (is_float(a)) return a;
  if (is_float(b)) return b;
  return promote_integers(a, b);
}

DType sum_dtype(DType x) {
  if (is_float(x) || x == DType::kI64) return x;
  return x == DType::kBool || is_signed_integer(x) ? DType::kI32 : DType::kU32;
}

}  // namespace tessera::ops
