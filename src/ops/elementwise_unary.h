// Element-wise functions of one tensor: one table row each (elementwise_unary.cpp).
#pragma once

#include <string_view>

#include "ops/tensor.h"

namespace tessera::ops {

enum class UnaryOp {
  kAbs,
  kNeg,
  kSign,
  kSquare,
  kFloor,
  kCeil,
  kExp,
  kExpm1,
  kLog,
  kLog2,
  kLog10,
  kLog1p,
  kSqrt,
  kRsqrt,
  kReciprocal,
  kErf,
  kSigmoid,
  kSin,
  kCos,
  kTan,
  kArcsin,
  kArccos,
  kArctan,
  kSinh,
  kCosh,
  kTanh,
  kArcsinh,
  kArccosh,
  kArctanh,
  kLogicalNot,
  kBitwiseInvert,
};

std::string_view name_of(UnaryOp op);

// Result dtype: kAbs..kCeil and kBitwiseInvert keep x's, kLogicalNot gives bool, the rest x's when it is a float and
// else f32. kNeg refuses bool, kBitwiseInvert refuses floats (and is kLogicalNot on bool).
Result<Tensor> unary(UnaryOp op, const Tensor& x);

// Half to even, keeps the dtype. decimals != 0: multiply by 10^decimals, round, divide, in x's dtype (integers: in f32,
// cast back).
Result<Tensor> round(const Tensor& x, int decimals);

}  // namespace tessera::ops
