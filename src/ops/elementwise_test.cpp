#include <cmath>
#include <limits>

#include "ops/activation.h"
#include "ops/dtype_rules.h"
#include "ops/elementwise_binary.h"
#include "ops/elementwise_unary.h"
#include "ops/ops_testing.h"
#include "ops/select.h"
#include "test_util.h"

namespace tessera::ops {
namespace {

using namespace ops::testing;
using tessera::testing::fresh_rng;
constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

TEST(DTypeRules, PromotionTable) {
  using D = DType;
  const struct {
    D a, b, common;
  } kCases[] = {
      {D::kBool, D::kU8, D::kU8},  {D::kU8, D::kI8, D::kI16},     {D::kU8, D::kI16, D::kI16},
      {D::kU8, D::kU32, D::kU32},  {D::kU32, D::kI8, D::kI64},    {D::kU32, D::kI16, D::kI64},
      {D::kU32, D::kI32, D::kI64}, {D::kU32, D::kI64, D::kI64},   {D::kI32, D::kI64, D::kI64},
      {D::kI64, D::kF16, D::kF16}, {D::kI32, D::kBF16, D::kBF16}, {D::kF16, D::kBF16, D::kF32},
      {D::kF32, D::kF16, D::kF32}, {D::kF32, D::kBF16, D::kF32},  {D::kBool, D::kF16, D::kF16},
      {D::kI8, D::kI16, D::kI16},
  };
  for (const auto& c : kCases) {
    EXPECT_EQ(name_of(promote(c.a, c.b)), name_of(c.common));
    EXPECT_EQ(name_of(promote(c.b, c.a)), name_of(c.common));
  }
}

struct UnaryCase {
  UnaryOp op;
  double (*reference)(double);
  double low, high;
};
const UnaryCase kFloatFunctions[] = {
    {UnaryOp::kExp, [](double x) { return std::exp(x); }, -5, 5},
    {UnaryOp::kExpm1, [](double x) { return std::exp(x) - 1; }, 0.5, 3},
    {UnaryOp::kLog, [](double x) { return std::log(x); }, 0.01, 9},
    {UnaryOp::kLog2, [](double x) { return std::log(x) / std::log(2.0); }, 0.01, 9},
    {UnaryOp::kLog10, [](double x) { return std::log(x) / std::log(10.0); }, 0.01, 9},
    {UnaryOp::kLog1p, [](double x) { return std::log(1 + x); }, 0.5, 9},
    {UnaryOp::kSqrt, [](double x) { return std::pow(x, 0.5); }, 0, 9},
    {UnaryOp::kRsqrt, [](double x) { return std::pow(x, -0.5); }, 0.01, 9},
    {UnaryOp::kReciprocal, [](double x) { return std::pow(x, -1.0); }, 0.1, 9},
    {UnaryOp::kErf, [](double x) { return 1 - std::erfc(x); }, 0.2, 2},
    {UnaryOp::kSigmoid, [](double x) { return 0.5 * (1 + std::tanh(x / 2)); }, -3, 3},
    {UnaryOp::kSin, [](double x) { return std::cos(x - M_PI / 2); }, 0.1, 3},
    {UnaryOp::kCos, [](double x) { return 1 - 2 * std::pow(std::sin(x / 2), 2); }, -1.2, 1.2},
    {UnaryOp::kTan, [](double x) { return std::sin(x) / std::cos(x); }, -1.2, 1.2},
    {UnaryOp::kArcsin, [](double x) { return std::atan2(x, std::sqrt(1 - x * x)); }, -0.9, 0.9},
    {UnaryOp::kArccos, [](double x) { return M_PI / 2 - std::asin(x); }, -0.9, 0.9},
    {UnaryOp::kArctan, [](double x) { return std::atan2(x, 1.0); }, -5, 5},
    {UnaryOp::kSinh, [](double x) { return (std::exp(x) - std::exp(-x)) / 2; }, 0.2, 3},
    {UnaryOp::kCosh, [](double x) { return (std::exp(x) + std::exp(-x)) / 2; }, -3, 3},
    {UnaryOp::kTanh, [](double x) { return 1 - 2 / (std::exp(2 * x) + 1); }, 0.2, 3},
    {UnaryOp::kArcsinh, [](double x) { return std::log(x + std::sqrt(x * x + 1)); }, 0.2, 3},
    {UnaryOp::kArccosh, [](double x) { return std::log(x + std::sqrt(x * x - 1)); }, 1.2, 5},
    {UnaryOp::kArctanh, [](double x) { return std::log((1 + x) / (1 - x)) / 2; }, 0.2, 0.9},
};

TEST(Unary, FloatFunctionsKeepFloatsAndTurnIntegersIntoF32) {
  auto rng = fresh_rng();
  for (const UnaryCase& c : kFloatFunctions) {
    SCOPED_TRACE(name_of(c.op));
    for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
      const Tensor x = random(rng, dtype, {3, 700}, c.low, c.high);  // more than one chunk
      std::vector<double> expected = to_doubles(x);
      for (double& value : expected) value = c.reference(value);
      expect_tensor(unary(c.op, x), dtype, x.shape, expected, 1.001);
    }
    const Tensor ones = i32({1}, {1});
    if (c.reference(1) == c.reference(1) && !std::isinf(c.reference(1)))
      expect_tensor(unary(c.op, ones), DType::kF32, {1}, {c.reference(1)}, 2);
  }
}

TEST(Unary, KeepsDTypeOfSimpleFunctions) {
  expect_tensor(unary(UnaryOp::kAbs, i32({3}, {-3, 0, 5})), DType::kI32, {3}, {3, 0, 5});
  expect_tensor(unary(UnaryOp::kNeg, tensor(DType::kU8, {2}, {1, 0})), DType::kU8, {2}, {255, 0});
  expect_tensor(unary(UnaryOp::kSign, f32({4}, {-3, 0, 5, kNaN})), DType::kF32, {4}, {-1, 0, 1, kNaN});
  expect_tensor(unary(UnaryOp::kSign, i64({3}, {-3, 0, 5})), DType::kI64, {3}, {-1, 0, 1});
  expect_tensor(unary(UnaryOp::kSquare, tensor(DType::kI8, {2}, {-3, 12})), DType::kI8, {2}, {9, -112});
  expect_tensor(unary(UnaryOp::kFloor, f32({3}, {-1.5, 1.5, 2})), DType::kF32, {3}, {-2, 1, 2});
  expect_tensor(unary(UnaryOp::kCeil, f32({3}, {-1.5, 1.5, 2})), DType::kF32, {3}, {-1, 2, 2});
  expect_tensor(unary(UnaryOp::kFloor, i32({1}, {7})), DType::kI32, {1}, {7});
  expect_error(unary(UnaryOp::kNeg, boolean({1}, {1})), ErrorCode::kInvalidArgument, "bool");
}

TEST(Unary, LogicAndBits) {
  expect_tensor(unary(UnaryOp::kLogicalNot, f32({3}, {0, 2, kNaN})), DType::kBool, {3}, {1, 0, 0});
  expect_tensor(unary(UnaryOp::kBitwiseInvert, i32({2}, {0, 5})), DType::kI32, {2}, {-1, -6});
  expect_tensor(unary(UnaryOp::kBitwiseInvert, tensor(DType::kU8, {1}, {5})), DType::kU8, {1}, {250});
  expect_tensor(unary(UnaryOp::kBitwiseInvert, boolean({2}, {0, 1})), DType::kBool, {2}, {1, 0});
  expect_error(unary(UnaryOp::kBitwiseInvert, f32({1}, {1})), ErrorCode::kInvalidArgument, "integers or bool");
}

TEST(Round, HalfToEvenAndDecimals) {
  expect_tensor(round(f32({5}, {0.5, 1.5, 2.5, -0.5, -1.5}), 0), DType::kF32, {5}, {0, 2, 2, 0, -2});
  // 1.255f * 100 rounds to 125.5 in f32, whose even neighbour is 126.
  expect_tensor(round(f32({2}, {1.2345, 1.255}), 2), DType::kF32, {2}, {1.23, 1.26});
  expect_tensor(round(i32({2}, {1250, 1350}), -2), DType::kI32, {2}, {1200, 1400});
  expect_tensor(round(i32({1}, {7}), 0), DType::kI32, {1}, {7});
}

struct BinaryCase {
  BinaryOp op;
  double (*reference)(double, double);
};
double floor_mod(double a, double b) { return a - std::floor(a / b) * b; }
const BinaryCase kArithmetic[] = {
    {BinaryOp::kAdd, [](double a, double b) { return a + b; }},
    {BinaryOp::kSubtract, [](double a, double b) { return a - b; }},
    {BinaryOp::kMultiply, [](double a, double b) { return a * b; }},
    {BinaryOp::kMaximum, [](double a, double b) { return a > b ? a : b; }},
    {BinaryOp::kMinimum, [](double a, double b) { return a > b ? b : a; }},
    {BinaryOp::kFloorDivide, [](double a, double b) { return std::floor(a / b); }},
    {BinaryOp::kRemainder, floor_mod},
};
const BinaryCase kComparisons[] = {
    {BinaryOp::kLess, [](double a, double b) -> double { return a < b; }},
    {BinaryOp::kLessEqual, [](double a, double b) -> double { return a <= b; }},
    {BinaryOp::kGreater, [](double a, double b) -> double { return a > b; }},
    {BinaryOp::kGreaterEqual, [](double a, double b) -> double { return a >= b; }},
    {BinaryOp::kEqual, [](double a, double b) -> double { return a == b; }},
    {BinaryOp::kNotEqual, [](double a, double b) -> double { return a != b; }},
};

std::vector<double> elementwise(const Tensor& a, const Tensor& b, const Shape& shape, double (*f)(double, double)) {
  std::vector<double> out;
  for_each_index(shape, [&](const auto& index) { out.push_back(f(broadcast_at(a, index), broadcast_at(b, index))); });
  return out;
}

TEST(Binary, BroadcastsInEveryDirection) {
  auto rng = fresh_rng();
  const struct {
    Shape a, b, out;
  } kShapes[] = {
      {{}, {}, {}},          {{3}, {}, {3}},           {{2, 3}, {3}, {2, 3}},       {{2, 1, 4}, {3, 1}, {2, 3, 4}},
      {{1}, {2, 0}, {2, 0}}, {{5, 1}, {1, 6}, {5, 6}}, {{1, 700}, {2, 1}, {2, 700}}};
  for (const auto& s : kShapes) {
    const Tensor a = random(rng, DType::kF32, s.a), b = random(rng, DType::kF32, s.b);
    expect_tensor(binary(BinaryOp::kAdd, a, b), DType::kF32, s.out,
                  elementwise(a, b, s.out, [](double x, double y) { return x + y; }));
  }
  expect_error(binary(BinaryOp::kAdd, f32({2}, {1, 2}), f32({3}, {1, 2, 3})), ErrorCode::kInvalidArgument,
               "[2] and [3] do not broadcast");
}

TEST(Binary, ArithmeticInEveryDType) {
  auto rng = fresh_rng();
  for (const BinaryCase& c : kArithmetic) {
    SCOPED_TRACE(name_of(c.op));
    for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kI32, DType::kI64, DType::kI16}) {
      const Tensor a = random(rng, dtype, {2, 300}, -50, 50);
      Tensor b = random(rng, dtype, {300}, 1, 20);
      if (rng() % 2) b = unary(UnaryOp::kNeg, b).value();
      expect_tensor(binary(c.op, a, b), dtype, {2, 300}, elementwise(a, b, {2, 300}, c.reference),
                    c.op == BinaryOp::kRemainder ? 4 : 1.001);
    }
  }
}

TEST(Binary, IntegerDivisionRoundsDown) {
  const Tensor a = i32({4}, {7, -7, 7, -7}), b = i32({4}, {2, 2, -2, -2});
  expect_tensor(binary(BinaryOp::kFloorDivide, a, b), DType::kI32, {4}, {3, -4, -4, 3});
  expect_tensor(binary(BinaryOp::kRemainder, a, b), DType::kI32, {4}, {1, 1, -1, -1});
  expect_tensor(binary(BinaryOp::kDivide, a, b), DType::kF32, {4}, {3.5, -3.5, -3.5, 3.5});
  for (BinaryOp op : {BinaryOp::kFloorDivide, BinaryOp::kRemainder})
    expect_error(binary(op, a, i32({}, {0})), ErrorCode::kInvalidArgument, "division by zero");
  const Tensor lowest = i64({1}, {-0x1p63});
  expect_tensor(binary(BinaryOp::kFloorDivide, lowest, i64({1}, {-1})), DType::kI64, {1}, {-0x1p63});
  expect_tensor(binary(BinaryOp::kRemainder, lowest, i64({1}, {-1})), DType::kI64, {1}, {0});
}

TEST(Binary, PowerOfIntegersStaysInteger) {
  expect_tensor(binary(BinaryOp::kPower, i32({4}, {2, -3, 0, 2}), i32({4}, {10, 3, 0, 31})), DType::kI32, {4},
                {1024, -27, 1, -0x1p31});
  expect_tensor(binary(BinaryOp::kPower, i32({4}, {2, 1, -1, -1}), i32({4}, {-1, -5, -3, -2})), DType::kI32, {4},
                {0, 1, -1, 1});
  expect_tensor(binary(BinaryOp::kPower, f32({2}, {2, 9}), f32({2}, {-1, 0.5})), DType::kF32, {2}, {0.5, 3});
}

TEST(Binary, OperandsAreRoundedToTheCommonDType) {
  // 2049 is no f16: the comparison happens after promotion, and so does the sum.
  expect_tensor(binary(BinaryOp::kEqual, i32({1}, {2049}), tensor(DType::kF16, {1}, {2048})), DType::kBool, {1}, {1});
  expect_tensor(binary(BinaryOp::kAdd, tensor(DType::kF16, {1}, {1.5}), tensor(DType::kBF16, {1}, {0.0078125})),
                DType::kF32, {1}, {1.5078125});
  expect_tensor(binary(BinaryOp::kAdd, tensor(DType::kU8, {1}, {200}), tensor(DType::kI8, {1}, {-1})), DType::kI16, {1},
                {199});
  expect_tensor(binary(BinaryOp::kAdd, tensor(DType::kU8, {1}, {200}), tensor(DType::kU8, {1}, {100})), DType::kU8, {1},
                {44});
}

TEST(Binary, ComparisonsAndNaN) {
  auto rng = fresh_rng();
  for (const BinaryCase& c : kComparisons) {
    SCOPED_TRACE(name_of(c.op));
    for (DType dtype : {DType::kF32, DType::kI64, DType::kU8, DType::kBool}) {
      const Tensor a = random(rng, dtype, {40}, 0, 4), b = random(rng, dtype, {40}, 0, 4);
      expect_tensor(binary(c.op, a, b), DType::kBool, {40}, elementwise(a, b, {40}, c.reference));
    }
    expect_tensor(binary(c.op, f32({1}, {kNaN}), f32({1}, {kNaN})), DType::kBool, {1},
                  {c.op == BinaryOp::kNotEqual ? 1.0 : 0.0});
  }
  expect_tensor(binary(BinaryOp::kMaximum, f32({2}, {kNaN, 1}), f32({2}, {1, kNaN})), DType::kF32, {2}, {kNaN, kNaN});
  expect_tensor(binary(BinaryOp::kMinimum, f32({2}, {kNaN, 1}), f32({2}, {1, kNaN})), DType::kF32, {2}, {kNaN, kNaN});
}

TEST(Binary, LogicBitsAndTheRest) {
  const Tensor a = f32({4}, {0, 0, 2, kNaN}), b = i32({4}, {0, 3, 0, 1});
  expect_tensor(binary(BinaryOp::kLogicalAnd, a, b), DType::kBool, {4}, {0, 0, 0, 1});
  expect_tensor(binary(BinaryOp::kLogicalOr, a, b), DType::kBool, {4}, {0, 1, 1, 1});
  const Tensor x = i32({2}, {12, -1}), y = tensor(DType::kI8, {2}, {10, 6});
  expect_tensor(binary(BinaryOp::kBitwiseAnd, x, y), DType::kI32, {2}, {8, 6});
  expect_tensor(binary(BinaryOp::kBitwiseOr, x, y), DType::kI32, {2}, {14, -1});
  expect_tensor(binary(BinaryOp::kBitwiseXor, x, y), DType::kI32, {2}, {6, -7});
  expect_tensor(binary(BinaryOp::kBitwiseXor, boolean({2}, {1, 1}), boolean({2}, {1, 0})), DType::kBool, {2}, {0, 1});
  expect_error(binary(BinaryOp::kBitwiseAnd, a, b), ErrorCode::kInvalidArgument, "integers or bool");
  expect_tensor(binary(BinaryOp::kAtan2, f32({2}, {1, -1}), f32({2}, {-1, 0})), DType::kF32, {2},
                {M_PI * 3 / 4, -M_PI / 2});
  expect_tensor(binary(BinaryOp::kLogAddExp, f32({3}, {1, -kInf, kInf}), f32({3}, {2, -kInf, 1})), DType::kF32, {3},
                {std::log(std::exp(1) + std::exp(2)), -kInf, kInf}, 2);
}

TEST(Activation, RoundsAtEveryStep) {
  auto rng = fresh_rng();
  const auto bf16 = [](double v) { return round_to(DType::kBF16, v); };
  const Tensor x = random(rng, DType::kBF16, {200}, -4, 4);
  const std::vector<double> silu_found = values_of(silu(x)), gelu_found = values_of(gelu(x, true));
  for (size_t i = 0; i < 200; ++i) {
    const double v = element<double>(x, static_cast<int64_t>(i));
    EXPECT_EQ(silu_found[i], bf16(v * bf16(1 / (1 + std::exp(-v)))));
    EXPECT_NEAR(gelu_found[i], 0.5 * v * (1 + std::tanh(0.79788456 * (v + 0.044715 * v * v * v))),
                std::fabs(v) * 0.02 + 1e-3);
  }
  const Tensor y = random(rng, DType::kF32, {200}, -4, 4);
  std::vector<double> tanh_form = to_doubles(y), erf_form = tanh_form;
  for (double& v : tanh_form) v = 0.5 * v * (1 + std::tanh(0.7978845608 * (v + 0.044715 * v * v * v)));
  for (double& v : erf_form) v = 0.5 * v * (1 + std::erf(v / std::sqrt(2)));
  const std::vector<double> a = values_of(gelu(y, true)), b = values_of(gelu(y, false));
  for (size_t i = 0; i < 200; ++i) {
    EXPECT_NEAR(a[i], tanh_form[i], 1e-6);
    EXPECT_NEAR(b[i], erf_form[i], 1e-6);
  }
  expect_error(silu(i32({1}, {1})), ErrorCode::kInvalidArgument, "float");
}

TEST(Select, WhereAndClip) {
  const Tensor condition = f32({2, 1}, {0, 3});
  expect_tensor(where(condition, i32({3}, {1, 2, 3}), tensor(DType::kF16, {}, {-0.5})), DType::kF16, {2, 3},
                {-0.5, -0.5, -0.5, 1, 2, 3});
  const Tensor x = f32({3}, {-2, 0.5, 2}), low = i32({}, {-1}), high = f32({}, {1});
  expect_tensor(clip(x, &low, &high), DType::kF32, {3}, {-1, 0.5, 1});
  expect_tensor(clip(x, nullptr, &high), DType::kF32, {3}, {-2, 0.5, 1});
  expect_tensor(clip(x, &high, &low), DType::kF32, {3}, {-1, -1, -1});  // the maximum comes first
  expect_error(clip(x, nullptr, nullptr), ErrorCode::kInvalidArgument, "without a bound");
}

TEST(Cast, TruncatesSaturatesAndAsksForNotZero) {
  const Tensor x = f32({6}, {-1.9, 1.9, 300, kNaN, 0, 0.25});
  expect_tensor(cast(x, DType::kI32), DType::kI32, {6}, {-1, 1, 300, 0, 0, 0});
  expect_tensor(cast(x, DType::kBool), DType::kBool, {6}, {1, 1, 1, 1, 0, 1});
  expect_tensor(cast(f32({2}, {1e20, -1e20}), DType::kI32), DType::kI32, {2}, {2147483647, -2147483648.0});
  expect_tensor(cast(i64({1}, {-1}), DType::kU32), DType::kU32, {1}, {4294967295});
  expect_tensor(cast(f32({1}, {1.00390625}), DType::kBF16), DType::kBF16, {1}, {1}, 0);  // a tie goes to even
  EXPECT_EQ(cast(x, DType::kF32)->data, x.data);
  expect_error(cast(x, static_cast<DType>(9)), ErrorCode::kNotImplemented, "dtype code 9");
}

}  // namespace
}  // namespace tessera::ops
