#include "ops/elementwise_unary.h"

#include <cmath>
#include <iterator>

#include "ops/checks.h"
#include "ops/dtype_rules.h"
#include "ops/elements.h"
#include "ops/wrapping.h"

namespace tessera::ops {
namespace {

enum class Rule { kKeep, kFloat, kBool, kBits };

using DoubleFn = double (*)(double);
using IntFn = int64_t (*)(int64_t);  // for integers and bool; nullptr: computed as a float

struct Row {
  UnaryOp op;
  std::string_view name;
  Rule rule;
  DoubleFn on_float;
  IntFn on_int;
};

int64_t negate(int64_t x) { return wrapping_subtract(0, x); }
int64_t same(int64_t x) { return x; }
double sign(double x) { return x > 0 ? 1.0 : x < 0 ? -1.0 : x; }  // keeps zeros and NaN

#define ON_FLOAT(expression) [](double x) -> double { return expression; }
#define ON_INT(expression) [](int64_t x) -> int64_t { return expression; }

constexpr Row kRows[] = {
    {UnaryOp::kAbs, "Abs", Rule::kKeep, ON_FLOAT(std::fabs(x)), ON_INT(x < 0 ? negate(x) : x)},
    {UnaryOp::kNeg, "Neg", Rule::kKeep, ON_FLOAT(-x), negate},
    {UnaryOp::kSign, "Sign", Rule::kKeep, sign, ON_INT((x > 0) - (x < 0))},
    {UnaryOp::kSquare, "Square", Rule::kKeep, ON_FLOAT(x* x), ON_INT(wrapping_multiply(x, x))},
    {UnaryOp::kFloor, "Floor", Rule::kKeep, ON_FLOAT(std::floor(x)), same},
    {UnaryOp::kCeil, "Ceil", Rule::kKeep, ON_FLOAT(std::ceil(x)), same},
    {UnaryOp::kExp, "Exp", Rule::kFloat, ON_FLOAT(std::exp(x)), nullptr},
    {UnaryOp::kExpm1, "Expm1", Rule::kFloat, ON_FLOAT(std::expm1(x)), nullptr},
    {UnaryOp::kLog, "Log", Rule::kFloat, ON_FLOAT(std::log(x)), nullptr},
    {UnaryOp::kLog2, "Log2", Rule::kFloat, ON_FLOAT(std::log2(x)), nullptr},
    {UnaryOp::kLog10, "Log10", Rule::kFloat, ON_FLOAT(std::log10(x)), nullptr},
    {UnaryOp::kLog1p, "Log1p", Rule::kFloat, ON_FLOAT(std::log1p(x)), nullptr},
    {UnaryOp::kSqrt, "Sqrt", Rule::kFloat, ON_FLOAT(std::sqrt(x)), nullptr},
    {UnaryOp::kRsqrt, "Rsqrt", Rule::kFloat, ON_FLOAT(1.0 / std::sqrt(x)), nullptr},
    {UnaryOp::kReciprocal, "Reciprocal", Rule::kFloat, ON_FLOAT(1.0 / x), nullptr},
    {UnaryOp::kErf, "Erf", Rule::kFloat, ON_FLOAT(std::erf(x)), nullptr},
    {UnaryOp::kSigmoid, "Sigmoid", Rule::kFloat, ON_FLOAT(1.0 / (1.0 + std::exp(-x))), nullptr},
    {UnaryOp::kSin, "Sin", Rule::kFloat, ON_FLOAT(std::sin(x)), nullptr},
    {UnaryOp::kCos, "Cos", Rule::kFloat, ON_FLOAT(std::cos(x)), nullptr},
    {UnaryOp::kTan, "Tan", Rule::kFloat, ON_FLOAT(std::tan(x)), nullptr},
    {UnaryOp::kArcsin, "Arcsin", Rule::kFloat, ON_FLOAT(std::asin(x)), nullptr},
    {UnaryOp::kArccos, "Arccos", Rule::kFloat, ON_FLOAT(std::acos(x)), nullptr},
    {UnaryOp::kArctan, "Arctan", Rule::kFloat, ON_FLOAT(std::atan(x)), nullptr},
    {UnaryOp::kSinh, "Sinh", Rule::kFloat, ON_FLOAT(std::sinh(x)), nullptr},
    {UnaryOp::kCosh, "Cosh", Rule::kFloat, ON_FLOAT(std::cosh(x)), nullptr},
    {UnaryOp::kTanh, "Tanh", Rule::kFloat, ON_FLOAT(std::tanh(x)), nullptr},
    {UnaryOp::kArcsinh, "Arcsinh", Rule::kFloat, ON_FLOAT(std::asinh(x)), nullptr},
    {UnaryOp::kArccosh, "Arccosh", Rule::kFloat, ON_FLOAT(std::acosh(x)), nullptr},
    {UnaryOp::kArctanh, "Arctanh", Rule::kFloat, ON_FLOAT(std::atanh(x)), nullptr},
    {UnaryOp::kLogicalNot, "LogicalNot", Rule::kBool, ON_FLOAT(x == 0), ON_INT(x == 0)},
    {UnaryOp::kBitwiseInvert, "BitwiseInvert", Rule::kBits, nullptr, ON_INT(~x)},
};

#undef ON_FLOAT
#undef ON_INT

constexpr bool rows_are_in_order() {
  for (size_t i = 0; i < std::size(kRows); ++i)
    if (kRows[i].op != static_cast<UnaryOp>(i)) return false;
  return true;
}
static_assert(rows_are_in_order(), "one row per operation, in the order of the enum");

const Row& row_of(UnaryOp op) { return kRows[static_cast<size_t>(op)]; }

DType result_dtype(const Row& row, DType x) {
  switch (row.rule) {
    case Rule::kFloat:
      return float_dtype(x);
    case Rule::kBool:
      return DType::kBool;
    case Rule::kKeep:
    case Rule::kBits:
      return x;
  }
  check_failed(__FILE__, __LINE__, "a known rule");
}

template <typename U, typename Fn>
void apply(Fn fn, const Tensor& x, Tensor& out) {
  for_each_chunk(x.n_elements(), [&](int64_t begin, int64_t n) {
    U values[kChunk];
    load(x, begin, n, values);
    for (int64_t i = 0; i < n; ++i) values[i] = fn(values[i]);
    store(values, n, out, begin);
  });
}

}  // namespace

std::string_view name_of(UnaryOp op) { return row_of(op).name; }

Result<Tensor> unary(UnaryOp op, const Tensor& x) {
  if (x.dtype == DType::kBool && op == UnaryOp::kBitwiseInvert) op = UnaryOp::kLogicalNot;
  const Row& row = row_of(op);
  if (row.rule == Rule::kBits && is_float(x.dtype))
    return invalid_argument("{} needs integers or bool, found {}", row.name, describe(x));
  if (op == UnaryOp::kNeg && x.dtype == DType::kBool) return invalid_argument("Neg of a bool tensor");
  const DType dtype = result_dtype(row, x.dtype);
  Tensor out = TRY(Tensor::allocate(dtype, x.shape));
  if (is_float(x.dtype) || !row.on_int) {
    apply<double>(row.on_float, x, out);
  } else {
    apply<int64_t>(row.on_int, x, out);
  }
  return out;
}

Result<Tensor> round(const Tensor& x, int decimals) {
  if (!is_float(x.dtype) && decimals == 0) return x;
  const DType inner = float_dtype(x.dtype);
  const double scale = round_to(inner, std::pow(10.0, decimals));
  Tensor out = TRY(Tensor::allocate(x.dtype, x.shape));
  const auto fn = [&](double v) {
    if (decimals == 0) return std::nearbyint(v);  // the default rounding mode is half to even
    return round_to(inner, std::nearbyint(round_to(inner, round_to(inner, v) * scale)) / scale);
  };
  apply<double>(fn, x, out);
  return out;
}

}  // namespace tessera::ops
