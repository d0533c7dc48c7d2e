// Which dtype comes out: the promotion table and the rules derived from it, in one place.
#pragma once

#include "base/dtype.h"

namespace tessera::ops {

inline bool is_integer(DType dtype) { return !is_float(dtype) && dtype != DType::kBool; }
bool is_signed_integer(DType dtype);

// The common dtype of two operands: bool < integers < floats. Integers of mixed sign get the next wider signed type
// (u8 + i8 -> i16, u32 + any signed -> i64); an integer with a float gives that float; f16 with bf16 gives f32.
DType promote(DType a, DType b);
// x's dtype when it is a float, else f32: for functions that are not closed over integers.
inline DType float_dtype(DType x) { return is_float(x) ? x : DType::kF32; }
// Of a sum or product: floats keep theirs, signed integers and bool give at least i32, unsigned ones u32.
DType sum_dtype(DType x);

}  // namespace tessera::ops
