// Element-wise functions of two tensors, comparisons and logic: one table row each (elementwise_binary.cpp). Operands
// broadcast by NumPy's rule and are promoted to a common dtype before anything is computed.
#pragma once

#include <string_view>

#include "ops/tensor.h"

namespace tessera::ops {

enum class BinaryOp {
  kAdd,
  kSubtract,
  kMultiply,
  kMaximum,
  kMinimum,
  kPower,
  kRemainder,
  kFloorDivide,
  kDivide,
  kAtan2,
  kLogAddExp,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kEqual,
  kNotEqual,
  kLogicalAnd,
  kLogicalOr,
  kBitwiseAnd,
  kBitwiseOr,
  kBitwiseXor,
};

std::string_view name_of(BinaryOp op);

// Result dtype: kAdd..kFloorDivide the promoted one, kDivide..kLogAddExp the promoted one or f32, comparisons and logic
// bool, bitwise the promoted one (integers or bool only). Integers wrap; kRemainder takes the divisor's sign and
// kFloorDivide rounds down, on integers too; an integer divisor of zero is an error.
Result<Tensor> binary(BinaryOp op, const Tensor& a, const Tensor& b);

}  // namespace tessera::ops
