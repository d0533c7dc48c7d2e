// Every element-wise node with every dtype it can meet: the result's dtype, or an error, by the rules as the format's
// description states them (executorch-pte 5.1 and 5.3), and the value for an input every function knows: 1.
#include <cmath>

#include "runtime/interpreter_testing.h"

namespace tessera::runtime {
namespace {

using namespace ops::testing;
using namespace program;
using ops::Tensor;
using runtime::testing::Machine;

constexpr DType kAll[] = {DType::kBool, DType::kU8,  DType::kI8,  DType::kI16,  DType::kI32,
                          DType::kU32,  DType::kI64, DType::kF16, DType::kBF16, DType::kF32};

bool is_unsigned(DType d) { return d == DType::kU8 || d == DType::kU32; }

// P(a, b), case by case from the description and not from the table the code uses.
DType promoted(DType a, DType b) {
  if (a == b) return a;
  if (is_float(a) && is_float(b)) return DType::kF32;  // f16 and bf16, or either and f32
  if (is_float(a) || is_float(b)) return is_float(a) ? a : b;
  if (a == DType::kBool) return b;
  if (b == DType::kBool) return a;
  if (a == DType::kU32 || b == DType::kU32) {
    const DType other = a == DType::kU32 ? b : a;
    return is_unsigned(other) ? DType::kU32 : DType::kI64;
  }
  if (size_of(a) == 1 && size_of(b) == 1) return DType::kI16;  // u8 and i8
  return size_of(a) > size_of(b) ? a : b;
}
DType floating(DType d) { return is_float(d) ? d : DType::kF32; }

enum class Rule { kKeep, kKeepNoBool, kFloat, kFloatOnly, kBool, kIntegers };

// The dtype a node of this rule gives for operands of the common dtype `d`; nothing: it refuses.
std::optional<DType> result_of(Rule rule, DType d) {
  switch (rule) {
    case Rule::kKeepNoBool:
      return d == DType::kBool ? std::nullopt : std::optional(d);
    case Rule::kFloat:
      return floating(d);
    case Rule::kFloatOnly:
      return is_float(d) ? std::optional(d) : std::nullopt;
    case Rule::kBool:
      return DType::kBool;
    case Rule::kIntegers:
      return is_float(d) ? std::nullopt : std::optional(d);
    case Rule::kKeep:
      break;
  }
  return d;
}

struct UnaryCase {
  Rule rule;
  double value;  // of f(1)
  Node (*make)(Tid x, Out out);
};
template <typename N>
Node make_unary(Tid x, Out out) {
  N node{};
  node.x = x;
  node.out = out;
  return node;
}
template <typename N>
UnaryCase unary(Rule rule, double value) {
  return {rule, value, make_unary<N>};
}
const double kE = std::exp(1.0);
const UnaryCase kUnary[] = {
    unary<Abs>(Rule::kKeep, 1),
    unary<Square>(Rule::kKeep, 1),
    unary<Sign>(Rule::kKeep, 1),
    unary<Floor>(Rule::kKeep, 1),
    unary<Ceil>(Rule::kKeep, 1),
    unary<Round>(Rule::kKeep, 1),
    unary<Exp>(Rule::kFloat, kE),
    unary<Expm1>(Rule::kFloat, kE - 1),
    unary<Log>(Rule::kFloat, 0),
    unary<Log2>(Rule::kFloat, 0),
    unary<Log10>(Rule::kFloat, 0),
    unary<Log1p>(Rule::kFloat, 0.6931471805599453),
    unary<Sqrt>(Rule::kFloat, 1),
    unary<Rsqrt>(Rule::kFloat, 1),
    unary<Reciprocal>(Rule::kFloat, 1),
    unary<Erf>(Rule::kFloat, 0.8427007929497149),
    unary<Sigmoid>(Rule::kFloat, 0.7310585786300049),
    unary<Tanh>(Rule::kFloat, 0.7615941559557649),
    unary<Sin>(Rule::kFloat, 0.8414709848078965),
    unary<Cos>(Rule::kFloat, 0.5403023058681398),
    unary<Tan>(Rule::kFloat, 1.5574077246549023),
    unary<Arcsin>(Rule::kFloat, 1.5707963267948966),
    unary<Arccos>(Rule::kFloat, 0),
    unary<Arctan>(Rule::kFloat, 0.7853981633974483),
    unary<Sinh>(Rule::kFloat, 1.1752011936438014),
    unary<Cosh>(Rule::kFloat, 1.5430806348152437),
    unary<Arcsinh>(Rule::kFloat, 0.881373587019543),
    unary<Arccosh>(Rule::kFloat, 0),
    unary<LogicalNot>(Rule::kBool, 0),
    unary<Silu>(Rule::kFloatOnly, 0.7310585786300049),
};

TEST(DTypeMatrix, UnaryNodes) {
  for (const UnaryCase& c : kUnary) {
    for (const DType dtype : kAll) {
      Machine m;
      const Node node = c.make(m.tensor(tensor(dtype, {2}, {1, 1})), m.out());
      SCOPED_TRACE(fmt::format("{} of {}", name_of(node), tessera::name_of(dtype)));
      const auto found = m.run(node);
      const auto expected = result_of(c.rule, dtype);
      if (expected) {
        expect_tensor(found, *expected, {2}, {c.value, c.value}, 2);
      } else {
        EXPECT_FALSE(found.has_value());
      }
    }
  }
}

struct BinaryCase {
  Rule rule;
  double value;  // of f(1, 1)
  Node (*make)(Tid a, Tid b, Out out);
};
template <typename N>
Node make_binary(Tid a, Tid b, Out out) {
  return N{a, b, out};
}
template <typename N>
BinaryCase binary(Rule rule, double value) {
  return {rule, value, make_binary<N>};
}
const BinaryCase kBinary[] = {
    binary<Multiply>(Rule::kKeep, 1),
    binary<Maximum>(Rule::kKeep, 1),
    binary<Minimum>(Rule::kKeep, 1),
    binary<Divide>(Rule::kFloat, 1),
    binary<Atan2>(Rule::kFloat, 0.7853981633974483),
    binary<LogAddExp>(Rule::kFloat, 1.6931471805599454),
    binary<Less>(Rule::kBool, 0),
    binary<LessEqual>(Rule::kBool, 1),
    binary<Greater>(Rule::kBool, 0),
    binary<GreaterEqual>(Rule::kBool, 1),
    binary<Equal>(Rule::kBool, 1),
    binary<NotEqual>(Rule::kBool, 0),
    binary<LogicalAnd>(Rule::kBool, 1),
    binary<LogicalOr>(Rule::kBool, 1),
    binary<BitwiseAnd>(Rule::kIntegers, 1),
    binary<BitwiseOr>(Rule::kIntegers, 1),
    binary<BitwiseXor>(Rule::kIntegers, 0),
};

TEST(DTypeMatrix, BinaryNodesWithEveryPair) {
  for (const BinaryCase& c : kBinary) {
    for (const DType a : kAll) {
      for (const DType b : kAll) {
        Machine m;
        const Node node = c.make(m.tensor(tensor(a, {2, 1}, {1, 1})), m.tensor(tensor(b, {}, {1})), m.out());
        SCOPED_TRACE(fmt::format("{} of {} and {}", name_of(node), tessera::name_of(a), tessera::name_of(b)));
        const auto found = m.run(node);
        const auto expected = result_of(c.rule, promoted(a, b));
        if (expected) {
          expect_tensor(found, *expected, {2, 1}, {c.value, c.value}, 2);
        } else {
          EXPECT_FALSE(found.has_value());
        }
      }
    }
  }
}

// Add and the like on bool are not everywhere the same thing, so numbers only.
TEST(DTypeMatrix, ArithmeticOfNumbers) {
  const BinaryCase cases[] = {binary<Add>(Rule::kKeep, 2), binary<Subtract>(Rule::kKeep, 0),
                              binary<FloorDivide>(Rule::kKeep, 1), binary<Remainder>(Rule::kKeep, 0),
                              binary<Power>(Rule::kKeep, 1)};
  for (const BinaryCase& c : cases) {
    for (const DType a : kAll) {
      for (const DType b : kAll) {
        if (a == DType::kBool && b == DType::kBool) continue;
        Machine m;
        const Node node = c.make(m.tensor(tensor(a, {1}, {1})), m.tensor(tensor(b, {1}, {1})), m.out());
        SCOPED_TRACE(fmt::format("{} of {} and {}", name_of(node), tessera::name_of(a), tessera::name_of(b)));
        expect_tensor(m.run(node), promoted(a, b), {1}, {c.value});
      }
    }
  }
}

// Sizes of zero are allowed wherever nothing is created from nothing (Full, Repeat and the like refuse them): a step
// may slice away everything.
TEST(ZeroSizes, GoThroughEveryKindOfNode) {
  Machine m;
  const Tid x = m.tensor(f32({0, 3}, {})), y = m.tensor(f32({3, 0}, {})), none = m.tensor(i64({0}, {}));
  const Tid full = m.tensor(counting(DType::kF32, {2, 3})), weight = m.tensor(f32({3}, {1, 1, 1}));
  struct Case {
    Node node;
    Shape shape;
    DType dtype = DType::kF32;
  };
  const Out out = m.out();
  const Case cases[] = {
      {IdCopy{x, out}, {0, 3}},
      {Exp{x, out}, {0, 3}},
      {Gelu{x, out, String("tanh")}, {0, 3}},
      {AsType{x, out, DType::kI32}, {0, 3}, DType::kI32},
      {Add{x, weight, out}, {0, 3}},
      {Less{x, x, out}, {0, 3}, DType::kBool},
      {Where{x, x, weight, out}, {0, 3}},
      {Clip{x, out, weight, std::nullopt}, {0, 3}},
      {Reshape{x, out, {3, 0, 2}}, {3, 0, 2}},
      {Transpose{x, out, {1, 0}}, {3, 0}},
      {ExpandDims{x, out, 0}, {1, 0, 3}},
      {BroadcastTo{x, out, {2, 0, 3}}, {2, 0, 3}},
      {Tile{x, out, {2, 2}}, {0, 6}},
      {Roll{x, out, {1}, {1}}, {0, 3}},
      {Slice{full, out, 0, 1, 1, 1}, {0, 3}},
      {Concatenate{{x, full}, out, 0}, {2, 3}},
      {Stack{{x, x}, out, 0}, {2, 0, 3}},
      {Pad{x, out, {1, 0, 0, 0}, String("constant"), 7}, {1, 3}},
      {Take{full, out, none, 0}, {0, 3}},
      {Take{x, out, 1, 1}, {0}},
      {FullLike{x, out, 1.0, std::nullopt}, {0, 3}},
      {Tril{x, out, 0}, {0, 3}},
      {Sum{x, out, {1}, false}, {0}},
      {Any{x, out, {0}, true}, {1, 3}, DType::kBool},
      {Sort{x, out, 1}, {0, 3}},
      {Cumsum{x, out, 1, false, true}, {0, 3}},
      {Softmax{x, out, -1, true}, {0, 3}},
      {RMSNorm{x, weight, out, 1e-6f}, {0, 3}},
      {LayerNorm{x, out, weight, std::nullopt, 1e-6f}, {0, 3}},
      {Addmm{x, y, out, std::nullopt, 1, 1}, {0, 0}},
      {Addmm{y, x, out, std::nullopt, 1, 1}, {3, 3}},
      {IndexCopy{full, x, none, out, 0}, {2, 3}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(to_string(c.shape) + " of " + std::string(name_of(c.node)));
    const auto found = m.run(c.node);
    EXPECT_TRUE(found.has_value()) << found.error().message;
    if (!found) continue;
    EXPECT_TRUE(found->shape == c.shape) << to_string(found->shape);
    EXPECT_EQ(tessera::name_of(found->dtype), tessera::name_of(c.dtype));
  }
  expect_same(m.run(Addmm{y, x, out, std::nullopt, 1, 1}), f32({3, 3}, std::vector<double>(9, 0)));
  expect_same(m.run(Concatenate{{x, full}, out, 0}), counting(DType::kF32, {2, 3}));
}

}  // namespace
}  // namespace tessera::runtime
