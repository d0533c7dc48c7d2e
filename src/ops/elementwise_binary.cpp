#include "ops/elementwise_binary.h"

#include <cmath>
#include <iterator>

#include "ops/cast.h"
#include "ops/checks.h"
#include "ops/dtype_rules.h"
#include "ops/elements.h"
#include "ops/shape_ops.h"
#include "ops/wrapping.h"

namespace tessera::ops {
namespace {

enum class Rule { kPromote, kFloat, kCompare, kLogical, kBits };

using DoubleFn = double (*)(double, double);
using IntFn = int64_t (*)(int64_t, int64_t);

struct Row {
  BinaryOp op;
  std::string_view name;
  Rule rule;
  DoubleFn on_float;
  IntFn on_int;
  bool divides = false;  // b == 0 is an error on integers
};

double maximum(double a, double b) { return std::isnan(a) || a > b ? a : b; }
double minimum(double a, double b) { return std::isnan(a) || a < b ? a : b; }

double remainder(double a, double b) {
  const double r = std::fmod(a, b);
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}
int64_t remainder(int64_t a, int64_t b) {
  if (b == -1) return 0;  // the smallest value % -1 traps
  const int64_t r = a % b;
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}
int64_t floor_divide(int64_t a, int64_t b) {
  if (b == -1) return wrapping_subtract(0, a);
  return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

// By squaring, wrapping. A negative exponent truncates the fraction: 0 unless the base is 1 or -1.
int64_t power(int64_t base, int64_t exponent) {
  if (exponent < 0) return base == 1 ? 1 : base == -1 ? (exponent % 2 ? -1 : 1) : 0;
  int64_t out = 1;
  for (; exponent > 0; exponent >>= 1, base = wrapping_multiply(base, base))
    if (exponent & 1) out = wrapping_multiply(out, base);
  return out;
}

double log_add_exp(double a, double b) {
  if (std::isnan(a) || std::isnan(b)) return a + b;
  const double high = std::max(a, b), low = std::min(a, b);
  if (std::isinf(high) || std::isinf(low)) return high;
  return high + std::log1p(std::exp(low - high));
}

#define ON_FLOAT(expression) [](double a, double b) -> double { return expression; }
#define ON_INT(expression) [](int64_t a, int64_t b) -> int64_t { return expression; }
#define ON_BOTH(expression) ON_FLOAT(expression), ON_INT(expression)

constexpr Row kRows[] = {
    {BinaryOp::kAdd, "Add", Rule::kPromote, ON_FLOAT(a + b), wrapping_add},
    {BinaryOp::kSubtract, "Subtract", Rule::kPromote, ON_FLOAT(a - b), wrapping_subtract},
    {BinaryOp::kMultiply, "Multiply", Rule::kPromote, ON_FLOAT(a* b), wrapping_multiply},
    {BinaryOp::kMaximum, "Maximum", Rule::kPromote, maximum, ON_INT(std::max(a, b))},
    {BinaryOp::kMinimum, "Minimum", Rule::kPromote, minimum, ON_INT(std::min(a, b))},
    {BinaryOp::kPower, "Power", Rule::kPromote, ON_FLOAT(std::pow(a, b)), power},
    {BinaryOp::kRemainder, "Remainder", Rule::kPromote, remainder, remainder, true},
    {BinaryOp::kFloorDivide, "FloorDivide", Rule::kPromote, ON_FLOAT(std::floor(a / b)), floor_divide, true},
    {BinaryOp::kDivide, "Divide", Rule::kFloat, ON_FLOAT(a / b), nullptr},
    {BinaryOp::kAtan2, "Atan2", Rule::kFloat, ON_FLOAT(std::atan2(a, b)), nullptr},
    {BinaryOp::kLogAddExp, "LogAddExp", Rule::kFloat, log_add_exp, nullptr},
    {BinaryOp::kLess, "Less", Rule::kCompare, ON_BOTH(a < b)},
    {BinaryOp::kLessEqual, "LessEqual", Rule::kCompare, ON_BOTH(a <= b)},
    {BinaryOp::kGreater, "Greater", Rule::kCompare, ON_BOTH(a > b)},
    {BinaryOp::kGreaterEqual, "GreaterEqual", Rule::kCompare, ON_BOTH(a >= b)},
    {BinaryOp::kEqual, "Equal", Rule::kCompare, ON_BOTH(a == b)},
    {BinaryOp::kNotEqual, "NotEqual", Rule::kCompare, ON_BOTH(a != b)},
    {BinaryOp::kLogicalAnd, "LogicalAnd", Rule::kLogical, nullptr, ON_INT(a& b)},
    {BinaryOp::kLogicalOr, "LogicalOr", Rule::kLogical, nullptr, ON_INT(a | b)},
    {BinaryOp::kBitwiseAnd, "BitwiseAnd", Rule::kBits, nullptr, ON_INT(a& b)},
    {BinaryOp::kBitwiseOr, "BitwiseOr", Rule::kBits, nullptr, ON_INT(a | b)},
    {BinaryOp::kBitwiseXor, "BitwiseXor", Rule::kBits, nullptr, ON_INT(a ^ b)},
};

#undef ON_FLOAT
#undef ON_INT
#undef ON_BOTH

constexpr bool rows_are_in_order() {
  for (size_t i = 0; i < std::size(kRows); ++i)
    if (kRows[i].op != static_cast<BinaryOp>(i)) return false;
  return true;
}
static_assert(rows_are_in_order(), "one row per operation, in the order of the enum");

const Row& row_of(BinaryOp op) { return kRows[static_cast<size_t>(op)]; }

struct DTypes {
  DType operand, result;
};

Result<DTypes> dtypes_of(const Row& row, const Tensor& a, const Tensor& b) {
  const DType common = promote(a.dtype, b.dtype);
  switch (row.rule) {
    case Rule::kPromote:
      return DTypes{common, common};
    case Rule::kFloat:
      return DTypes{float_dtype(common), float_dtype(common)};
    case Rule::kCompare:
      return DTypes{common, DType::kBool};
    case Rule::kLogical:
      return DTypes{DType::kBool, DType::kBool};
    case Rule::kBits:
      if (!is_float(common)) return DTypes{common, common};
      return invalid_argument("{} needs integers or bool, found {} and {}", row.name, describe(a), describe(b));
  }
  check_failed(__FILE__, __LINE__, "a known rule");
}

template <typename U, typename Fn>
void apply(Fn fn, const Tensor& a, const Tensor& b, Tensor& out) {
  for_each_chunk(out.n_elements(), [&](int64_t begin, int64_t n) {
    U x[kChunk], y[kChunk];
    load(a, begin, n, x);
    load(b, begin, n, y);
    for (int64_t i = 0; i < n; ++i) x[i] = fn(x[i], y[i]);
    store(x, n, out, begin);
  });
}

Status check_divisor(const Row& row, const Tensor& b) {
  for (int64_t i = 0; i < b.n_elements(); ++i)
    if (element<int64_t>(b, i) == 0) return invalid_argument("{}: integer division by zero (element {})", row.name, i);
  return {};
}

}  // namespace

std::string_view name_of(BinaryOp op) { return row_of(op).name; }

Result<Tensor> binary(BinaryOp op, const Tensor& a, const Tensor& b) {
  const Row& row = row_of(op);
  const DTypes dtypes = TRY(dtypes_of(row, a, b));
  const Shape shape = TRY(broadcast_shapes(a.shape, b.shape));
  const Tensor x = TRY(cast_and_broadcast(a, dtypes.operand, shape));
  const Tensor y = TRY(cast_and_broadcast(b, dtypes.operand, shape));
  Tensor out = TRY(Tensor::allocate(dtypes.result, shape));
  if (is_float(dtypes.operand)) {
    apply<double>(row.on_float, x, y, out);
  } else {
    if (row.divides) TRY(check_divisor(row, y));
    apply<int64_t>(row.on_int, x, y, out);
  }
  return out;
}

}  // namespace tessera::ops
