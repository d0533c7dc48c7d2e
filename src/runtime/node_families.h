// Instructions that are one line: a row of an operation's table applied to the slots the node names.
#pragma once

#include "ops/elementwise_binary.h"
#include "ops/elementwise_unary.h"
#include "ops/reduce.h"
#include "program/nodes.h"
#include "runtime/int_arithmetic.h"
#include "runtime/node_operands.h"

namespace tessera::runtime {

template <typename N>
Status unary(ops::UnaryOp op, const N& node, ExecutionContext& context) {
  return put(context, node.out, ops::unary(op, TRY(get(context, node.x))));
}
template <typename N>
Status binary(ops::BinaryOp op, const N& node, ExecutionContext& context) {
  return put(context, node.out, ops::binary(op, TRY(get(context, node.a)), TRY(get(context, node.b))));
}
template <typename N>
Status reduce(ops::ReduceOp op, const N& node, ExecutionContext& context, int ddof = 0) {
  return put(context, node.out, ops::reduce(op, TRY(get(context, node.x)), node.axes, node.keepdims, ddof));
}
template <typename N>
Status ints(IntFn fn, const N& node, ExecutionContext& context) {
  const int64_t a = TRY(get(context, node.a)), b = TRY(get(context, node.b));
  const int32_t result = TRY(fn(a, b));
  return put(context, node.out, Value(result));
}

// clang-format off
inline Status run(const program::Sigmoid& node, ExecutionContext& context) { return unary(ops::UnaryOp::kSigmoid, node, context); }
inline Status run(const program::Tanh& node, ExecutionContext& context) { return unary(ops::UnaryOp::kTanh, node, context); }
inline Status run(const program::Rsqrt& node, ExecutionContext& context) { return unary(ops::UnaryOp::kRsqrt, node, context); }
inline Status run(const program::Log& node, ExecutionContext& context) { return unary(ops::UnaryOp::kLog, node, context); }
inline Status run(const program::LogicalNot& node, ExecutionContext& context) { return unary(ops::UnaryOp::kLogicalNot, node, context); }
inline Status run(const program::Floor& node, ExecutionContext& context) { return unary(ops::UnaryOp::kFloor, node, context); }
inline Status run(const program::Ceil& node, ExecutionContext& context) { return unary(ops::UnaryOp::kCeil, node, context); }
inline Status run(const program::Square& node, ExecutionContext& context) { return unary(ops::UnaryOp::kSquare, node, context); }
inline Status run(const program::Exp& node, ExecutionContext& context) { return unary(ops::UnaryOp::kExp, node, context); }
inline Status run(const program::Sin& node, ExecutionContext& context) { return unary(ops::UnaryOp::kSin, node, context); }
inline Status run(const program::Cos& node, ExecutionContext& context) { return unary(ops::UnaryOp::kCos, node, context); }
inline Status run(const program::Tan& node, ExecutionContext& context) { return unary(ops::UnaryOp::kTan, node, context); }
inline Status run(const program::Arcsin& node, ExecutionContext& context) { return unary(ops::UnaryOp::kArcsin, node, context); }
inline Status run(const program::Arccos& node, ExecutionContext& context) { return unary(ops::UnaryOp::kArccos, node, context); }
inline Status run(const program::Arctan& node, ExecutionContext& context) { return unary(ops::UnaryOp::kArctan, node, context); }
inline Status run(const program::Sinh& node, ExecutionContext& context) { return unary(ops::UnaryOp::kSinh, node, context); }
inline Status run(const program::Cosh& node, ExecutionContext& context) { return unary(ops::UnaryOp::kCosh, node, context); }
inline Status run(const program::Arcsinh& node, ExecutionContext& context) { return unary(ops::UnaryOp::kArcsinh, node, context); }
inline Status run(const program::Arccosh& node, ExecutionContext& context) { return unary(ops::UnaryOp::kArccosh, node, context); }
inline Status run(const program::Arctanh& node, ExecutionContext& context) { return unary(ops::UnaryOp::kArctanh, node, context); }
inline Status run(const program::Log2& node, ExecutionContext& context) { return unary(ops::UnaryOp::kLog2, node, context); }
inline Status run(const program::Log10& node, ExecutionContext& context) { return unary(ops::UnaryOp::kLog10, node, context); }
inline Status run(const program::Log1p& node, ExecutionContext& context) { return unary(ops::UnaryOp::kLog1p, node, context); }
inline Status run(const program::Erf& node, ExecutionContext& context) { return unary(ops::UnaryOp::kErf, node, context); }
inline Status run(const program::Expm1& node, ExecutionContext& context) { return unary(ops::UnaryOp::kExpm1, node, context); }
inline Status run(const program::Reciprocal& node, ExecutionContext& context) { return unary(ops::UnaryOp::kReciprocal, node, context); }
inline Status run(const program::Sqrt& node, ExecutionContext& context) { return unary(ops::UnaryOp::kSqrt, node, context); }
inline Status run(const program::Abs& node, ExecutionContext& context) { return unary(ops::UnaryOp::kAbs, node, context); }
inline Status run(const program::Neg& node, ExecutionContext& context) { return unary(ops::UnaryOp::kNeg, node, context); }
inline Status run(const program::Sign& node, ExecutionContext& context) { return unary(ops::UnaryOp::kSign, node, context); }
inline Status run(const program::BitwiseInvert& node, ExecutionContext& context) { return unary(ops::UnaryOp::kBitwiseInvert, node, context); }

inline Status run(const program::Add& node, ExecutionContext& context) { return binary(ops::BinaryOp::kAdd, node, context); }
inline Status run(const program::Multiply& node, ExecutionContext& context) { return binary(ops::BinaryOp::kMultiply, node, context); }
inline Status run(const program::Divide& node, ExecutionContext& context) { return binary(ops::BinaryOp::kDivide, node, context); }
inline Status run(const program::Subtract& node, ExecutionContext& context) { return binary(ops::BinaryOp::kSubtract, node, context); }
inline Status run(const program::Maximum& node, ExecutionContext& context) { return binary(ops::BinaryOp::kMaximum, node, context); }
inline Status run(const program::Minimum& node, ExecutionContext& context) { return binary(ops::BinaryOp::kMinimum, node, context); }
inline Status run(const program::Less& node, ExecutionContext& context) { return binary(ops::BinaryOp::kLess, node, context); }
inline Status run(const program::LessEqual& node, ExecutionContext& context) { return binary(ops::BinaryOp::kLessEqual, node, context); }
inline Status run(const program::Greater& node, ExecutionContext& context) { return binary(ops::BinaryOp::kGreater, node, context); }
inline Status run(const program::GreaterEqual& node, ExecutionContext& context) { return binary(ops::BinaryOp::kGreaterEqual, node, context); }
inline Status run(const program::Equal& node, ExecutionContext& context) { return binary(ops::BinaryOp::kEqual, node, context); }
inline Status run(const program::NotEqual& node, ExecutionContext& context) { return binary(ops::BinaryOp::kNotEqual, node, context); }
inline Status run(const program::LogicalAnd& node, ExecutionContext& context) { return binary(ops::BinaryOp::kLogicalAnd, node, context); }
inline Status run(const program::LogicalOr& node, ExecutionContext& context) { return binary(ops::BinaryOp::kLogicalOr, node, context); }
inline Status run(const program::Atan2& node, ExecutionContext& context) { return binary(ops::BinaryOp::kAtan2, node, context); }
inline Status run(const program::LogAddExp& node, ExecutionContext& context) { return binary(ops::BinaryOp::kLogAddExp, node, context); }
inline Status run(const program::FloorDivide& node, ExecutionContext& context) { return binary(ops::BinaryOp::kFloorDivide, node, context); }
inline Status run(const program::Power& node, ExecutionContext& context) { return binary(ops::BinaryOp::kPower, node, context); }
inline Status run(const program::Remainder& node, ExecutionContext& context) { return binary(ops::BinaryOp::kRemainder, node, context); }
inline Status run(const program::BitwiseAnd& node, ExecutionContext& context) { return binary(ops::BinaryOp::kBitwiseAnd, node, context); }
inline Status run(const program::BitwiseOr& node, ExecutionContext& context) { return binary(ops::BinaryOp::kBitwiseOr, node, context); }
inline Status run(const program::BitwiseXor& node, ExecutionContext& context) { return binary(ops::BinaryOp::kBitwiseXor, node, context); }

inline Status run(const program::LogSumExp& node, ExecutionContext& context) { return reduce(ops::ReduceOp::kLogSumExp, node, context); }
inline Status run(const program::Sum& node, ExecutionContext& context) { return reduce(ops::ReduceOp::kSum, node, context); }
inline Status run(const program::Mean& node, ExecutionContext& context) { return reduce(ops::ReduceOp::kMean, node, context); }
inline Status run(const program::Prod& node, ExecutionContext& context) { return reduce(ops::ReduceOp::kProd, node, context); }
inline Status run(const program::Max& node, ExecutionContext& context) { return reduce(ops::ReduceOp::kMax, node, context); }
inline Status run(const program::Min& node, ExecutionContext& context) { return reduce(ops::ReduceOp::kMin, node, context); }
inline Status run(const program::Median& node, ExecutionContext& context) { return reduce(ops::ReduceOp::kMedian, node, context); }
inline Status run(const program::Any& node, ExecutionContext& context) { return reduce(ops::ReduceOp::kAny, node, context); }
inline Status run(const program::All& node, ExecutionContext& context) { return reduce(ops::ReduceOp::kAll, node, context); }

inline Status run(const program::AddInt& node, ExecutionContext& context) { return ints(int_add, node, context); }
inline Status run(const program::SubtractInt& node, ExecutionContext& context) { return ints(int_subtract, node, context); }
inline Status run(const program::MultiplyInt& node, ExecutionContext& context) { return ints(int_multiply, node, context); }
inline Status run(const program::FloorDivideInt& node, ExecutionContext& context) { return ints(int_floor_divide, node, context); }
inline Status run(const program::ModInt& node, ExecutionContext& context) { return ints(int_mod, node, context); }
// clang-format on

}  // namespace tessera::runtime
