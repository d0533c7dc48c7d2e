// Every instruction at least once, with an answer worked out by hand; the operations' own tests go deeper. What
// instructions share - operands, slots, places of errors - is tested in control_test.cpp.
#include <cmath>

#include "runtime/interpreter_testing.h"

namespace tessera::runtime {
namespace {

using namespace ops::testing;
using namespace program;
using ops::Tensor;
using runtime::testing::Machine;
using Values = std::vector<double>;

class EveryNode : public ::testing::Test {
 protected:
  static void TearDownTestSuite() {
    // Scan and If are covered in control_test.cpp, UpdateAndAttend in off_graph_cache_test.cpp, MetalKernel in
    // custom_kernels_test.cpp; everything else must have been run here.
    executed.insert({index_of<Scan>(), index_of<If>(), index_of<UpdateAndAttend>(), index_of<MetalKernel>()});
    for (size_t i = 0; i < std::variant_size_v<NodeVariant>; ++i)
      EXPECT_TRUE(executed.count(i)) << "union tag " << i + 1 << " was never executed";
  }
  void TearDown() override { executed.insert(m.executed.begin(), m.executed.end()); }

  template <typename N>
  static size_t index_of() {
    return Node(N{}).index();
  }
  Tid t(const Tensor& tensor) { return m.tensor(tensor); }
  Out out() { return m.out(); }
  void expect(const Node& node, const Tensor& expected, double roundings = 1) {
    SCOPED_TRACE(name_of(node));
    expect_tensor(m.run(node), expected.dtype, expected.shape, ops::to_doubles(expected), roundings);
  }
  void expect_int(const Node& node, int32_t expected) {
    SCOPED_TRACE(name_of(node));
    const auto found = m.run_int(node);
    ASSERT_TRUE(found.has_value()) << found.error().message;
    EXPECT_EQ(*found, expected);
  }
  Machine m;
  static inline std::set<size_t> executed;
};

TEST_F(EveryNode, Unary) {
  const Tid x = t(f32({2}, {0.5, -0.25})), positive = t(f32({2}, {0.5, 4})), above = t(f32({2}, {1.5, 4}));
  const auto check = [&](const Node& node, Values in, double (*f)(double)) {
    for (double& v : in) v = f(v);
    expect(node, f32({2}, in));
  };
  const Values v{0.5, -0.25}, p{0.5, 4}, a{1.5, 4};
  check(Sigmoid{x, out()}, v, [](double u) { return 1 / (1 + std::exp(-u)); });
  check(Tanh{x, out()}, v, std::tanh);
  check(Exp{x, out()}, v, std::exp);
  check(Expm1{x, out()}, v, std::expm1);
  check(Sin{x, out()}, v, std::sin);
  check(Cos{x, out()}, v, std::cos);
  check(Tan{x, out()}, v, std::tan);
  check(Arcsin{x, out()}, v, std::asin);
  check(Arccos{x, out()}, v, std::acos);
  check(Arctan{x, out()}, v, std::atan);
  check(Sinh{x, out()}, v, std::sinh);
  check(Cosh{x, out()}, v, std::cosh);
  check(Arcsinh{x, out()}, v, std::asinh);
  check(Arctanh{x, out()}, v, std::atanh);
  check(Erf{x, out()}, v, std::erf);
  check(Log1p{x, out()}, v, std::log1p);
  check(Abs{x, out()}, v, std::fabs);
  check(Floor{x, out()}, v, std::floor);
  check(Ceil{x, out()}, v, std::ceil);
  check(Neg{x, out()}, v, [](double u) { return -u; });
  check(Square{x, out()}, v, [](double u) { return u * u; });
  check(Sign{x, out()}, v, [](double u) { return u > 0 ? 1.0 : -1.0; });
  check(Reciprocal{x, out()}, v, [](double u) { return 1 / u; });
  check(Log{positive, out()}, p, std::log);
  check(Log2{positive, out()}, p, std::log2);
  check(Log10{positive, out()}, p, std::log10);
  check(Sqrt{positive, out()}, p, std::sqrt);
  check(Rsqrt{positive, out()}, p, [](double u) { return 1 / std::sqrt(u); });
  check(Arccosh{above, out()}, a, std::acosh);
}

TEST_F(EveryNode, LogicAndBits) {
  const Tid a = t(i32({3}, {6, 0, 3})), b = t(i32({3}, {3, 0, 0})), flags = t(boolean({2}, {1, 0}));
  expect(LogicalNot{a, out()}, boolean({3}, {0, 1, 0}));
  expect(LogicalAnd{a, b, out()}, boolean({3}, {1, 0, 0}));
  expect(LogicalOr{a, b, out()}, boolean({3}, {1, 0, 1}));
  expect(BitwiseInvert{flags, out()}, boolean({2}, {0, 1}));
  expect(BitwiseAnd{a, b, out()}, i32({3}, {2, 0, 0}));
  expect(BitwiseOr{a, b, out()}, i32({3}, {7, 0, 3}));
  expect(BitwiseXor{a, b, out()}, i32({3}, {5, 0, 3}));
}

TEST_F(EveryNode, Binary) {
  const Tid a = t(f32({2, 1}, {7, -7})), b = t(f32({2}, {2, 4}));
  expect(Add{a, b, out()}, f32({2, 2}, {9, 11, -5, -3}));
  expect(Subtract{a, b, out()}, f32({2, 2}, {5, 3, -9, -11}));
  expect(Multiply{a, b, out()}, f32({2, 2}, {14, 28, -14, -28}));
  expect(Divide{a, b, out()}, f32({2, 2}, {3.5, 1.75, -3.5, -1.75}));
  expect(FloorDivide{a, b, out()}, f32({2, 2}, {3, 1, -4, -2}));
  expect(Remainder{a, b, out()}, f32({2, 2}, {1, 3, 1, 1}));
  expect(Power{a, b, out()}, f32({2, 2}, {49, 2401, 49, 2401}));
  expect(Maximum{a, b, out()}, f32({2, 2}, {7, 7, 2, 4}));
  expect(Minimum{a, b, out()}, f32({2, 2}, {2, 4, -7, -7}));
  expect(Atan2{a, b, out()}, f32({2, 2}, {std::atan2(7, 2), std::atan2(7, 4), std::atan2(-7, 2), std::atan2(-7, 4)}));
  expect(LogAddExp{b, b, out()}, f32({2}, {2 + std::log(2), 4 + std::log(2)}));
  expect(Less{a, b, out()}, boolean({2, 2}, {0, 0, 1, 1}));
  expect(LessEqual{b, b, out()}, boolean({2}, {1, 1}));
  expect(Greater{a, b, out()}, boolean({2, 2}, {1, 1, 0, 0}));
  expect(GreaterEqual{a, b, out()}, boolean({2, 2}, {1, 1, 0, 0}));
  expect(Equal{a, b, out()}, boolean({2, 2}, {0, 0, 0, 0}));
  expect(NotEqual{b, b, out()}, boolean({2}, {0, 0}));
}

TEST_F(EveryNode, ElementwiseWithArguments) {
  const Tid x = t(f32({3}, {-1.5, 0.5, 2.5})), condition = t(boolean({3}, {1, 0, 1})), zero = t(i32({}, {0}));
  expect(AsType{x, out(), DType::kI32}, i32({3}, {-1, 0, 2}));
  expect(Round{x, out(), 0}, f32({3}, {-2, 0, 2}));
  expect(Silu{x, out()}, f32({3}, {-1.5 / (1 + std::exp(1.5)), 0.5 / (1 + std::exp(-0.5)), 2.5 / (1 + std::exp(-2.5))}),
         3);
  const auto phi = [](double v) { return 0.5 * v * (1 + std::erf(v / std::sqrt(2))); };
  expect(Gelu{x, out(), String("none")}, f32({3}, {phi(-1.5), phi(0.5), phi(2.5)}), 40);
  const auto tanh_form = [](double v) { return 0.5 * v * (1 + std::tanh(0.79788456 * (v + 0.044715 * v * v * v))); };
  expect(Gelu{x, out(), String("tanh")}, f32({3}, {tanh_form(-1.5), tanh_form(0.5), tanh_form(2.5)}), 40);
  expect(Where{condition, x, zero, out()}, f32({3}, {-1.5, 0, 2.5}));
  expect(Clip{x, out(), zero, std::nullopt}, f32({3}, {0, 0.5, 2.5}));
  expect_error(m.execute(Clip{x, out(), std::nullopt, std::nullopt}), ErrorCode::kInvalidArgument, "bound");
}

TEST_F(EveryNode, Ints) {
  const Vid seven = m.value(int32_t{7}), minus = m.value(int32_t{-7});
  expect_int(AddInt{seven, 5, m.value_out()}, 12);
  expect_int(SubtractInt{5, seven, m.value_out()}, -2);
  expect_int(MultiplyInt{minus, 3, m.value_out()}, -21);
  expect_int(FloorDivideInt{seven, 2, m.value_out()}, 3);
  expect_int(FloorDivideInt{minus, 2, m.value_out()}, -4);
  expect_int(ModInt{minus, 3, m.value_out()}, 2);
  expect_int(ModInt{seven, -3, m.value_out()}, -2);
  const Tid x = t(counting(DType::kF32, {2, 5}));
  expect_int(SymSize{x, 0, m.value_out()}, 2);
  expect_int(SymSize{x, -1, m.value_out()}, 5);
  expect_error(m.execute(SymSize{x, 2, m.value_out()}), ErrorCode::kInvalidArgument, "axis 2");
  EXPECT_TRUE(m.execute(Noop{}).has_value());
}

TEST_F(EveryNode, IntsOutOfRange) {
  constexpr int64_t kMax = std::numeric_limits<int32_t>::max(), kMin = std::numeric_limits<int32_t>::min();
  expect_error(m.execute(AddInt{kMax, 1, m.value_out()}), ErrorCode::kOutOfRange, "outside int32");
  expect_error(m.execute(SubtractInt{kMin, 1, m.value_out()}), ErrorCode::kOutOfRange, "outside int32");
  expect_error(m.execute(MultiplyInt{kMax, 2, m.value_out()}), ErrorCode::kOutOfRange, "outside int32");
  expect_error(m.execute(FloorDivideInt{kMin, -1, m.value_out()}), ErrorCode::kOutOfRange, "outside int32");
  expect_error(m.execute(FloorDivideInt{1, 0, m.value_out()}), ErrorCode::kInvalidArgument, "zero");
  expect_error(m.execute(ModInt{1, 0, m.value_out()}), ErrorCode::kInvalidArgument, "zero");
  expect_int(AddInt{std::numeric_limits<int64_t>::max(), 0, m.value_out()}, kMax);  // literals are clamped
}

TEST_F(EveryNode, ItemInt) {
  const auto item = [&](const Tensor& x) { return ItemInt{t(x), m.value_out()}; };
  expect_int(item(i32({1, 1}, {-5})), -5);
  expect_int(item(i64({}, {5000000001})), 705032705);  // the low half
  expect_int(item(f32({}, {1.5})), 1);                 // converted, not reinterpreted
  expect_int(item(boolean({1}, {1})), 1);
  expect_int(item(tensor(DType::kU8, {1}, {200})), 200);
  expect_error(m.execute(item(i32({2}, {1, 2}))), ErrorCode::kInvalidArgument, "one element");
  expect_error(m.execute(item(i32({0}, {}))), ErrorCode::kInvalidArgument, "one element");
}

TEST_F(EveryNode, Shapes) {
  const Tensor x = counting(DType::kF32, {2, 3});
  const Tid a = t(x);
  const Vid three = m.value(int32_t{3});
  expect(IdCopy{a, out()}, x);
  expect(Contiguous{a, out()}, x);
  expect(ExpandDims{a, out(), -1}, x.reshaped({2, 3, 1}));
  expect(Squeeze{t(x.reshaped({1, 2, 1, 3})), out(), {2, 3, 9}}, x.reshaped({1, 2, 3}));
  expect(Reshape{a, out(), {three, -1}}, x.reshaped({3, 2}));
  expect(Transpose{a, out(), {1, 0}}, f32({3, 2}, {0, 3, 1, 4, 2, 5}));
  expect(BroadcastTo{a, out(), {2, -1, three}}, f32({2, 2, 3}, {0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5}));
  expect(AsStrided{a, out(), {2, 2}, {3, 1}, 1}, f32({2, 2}, {1, 2, 4, 5}));
  expect(Tile{t(f32({2}, {1, 2})), out(), {2, 2}}, f32({2, 4}, {1, 2, 1, 2, 1, 2, 1, 2}));
  expect(Repeat{t(f32({2}, {1, 2})), out(), 2, 0}, f32({4}, {1, 1, 2, 2}));
  expect(Roll{t(f32({3}, {1, 2, 3})), out(), {1}, {0}}, f32({3}, {3, 1, 2}));
  expect(Concatenate{{a, a}, out(), 0}, f32({4, 3}, {0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5}));
  expect(Stack{{a, a}, out(), 2}, f32({2, 3, 2}, {0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5}));
  expect(Pad{t(f32({2}, {1, 2})), out(), {1, 2}, String("constant"), 9}, f32({5}, {9, 1, 2, 9, 9}));
  expect(Pad{t(f32({2}, {1, 2})), out(), {1, 2}, String("edge"), 9}, f32({5}, {1, 1, 2, 2, 2}));
  expect_error(m.execute(Pad{a, out(), {0, 0, 0, 0}, String("reflect"), 0}), ErrorCode::kNotImplemented, "\"reflect\"");
}

TEST_F(EveryNode, Split) {
  ASSERT_TRUE(m.execute(Split{t(counting(DType::kI32, {5})), {m.out(0), m.out(1)}, {3}, 0}).has_value());
  expect_same(m.slots().get(m.out(0)), i32({3}, {0, 1, 2}));
  expect_same(m.slots().get(m.out(1)), i32({2}, {3, 4}));
}

TEST_F(EveryNode, Indexing) {
  const Tid x = t(counting(DType::kF32, {3, 2})), index = t(i64({2}, {-1, 0}));
  expect(Take{x, out(), 1, 0}, f32({2}, {2, 3}));
  expect(Take{x, out(), m.value(int32_t{-1}), 1}, f32({3}, {1, 3, 5}));
  expect(Take{x, out(), index, 0}, f32({2, 2}, {4, 5, 0, 1}));
  expect(TakeAlongAxis{x, t(i32({1, 2}, {2, 0})), out(), 0}, f32({1, 2}, {4, 1}));
  expect(Gather{x, {index}, out(), {0}, {1, 2}}, f32({2, 1, 2}, {4, 5, 0, 1}));
  expect(ScatterAdd{x, t(i32({1, 2}, {2, 0})), t(f32({1, 2}, {10, 20})), out(), 0}, f32({3, 2}, {0, 21, 2, 3, 14, 5}));
  expect(Slice{x, out(), 0, 2, std::numeric_limits<int64_t>::min(), -2}, f32({2, 2}, {4, 5, 0, 1}));
  expect(SliceUpdate{x, t(f32({}, {9})), out(), 0, 1, 2, 1}, f32({3, 2}, {0, 1, 9, 9, 4, 5}));
  expect(IndexCopy{x, t(f32({2, 2}, {6, 7, 8, 9})), index, out(), 0}, f32({3, 2}, {8, 9, 2, 3, 6, 7}));
}

TEST_F(EveryNode, Create) {
  expect(ARange{out(), 0, 6, 2, std::nullopt}, i32({3}, {0, 2, 4}));
  expect(ARange{out(), m.value(int32_t{2}), 0, -1, DType::kI64}, i64({2}, {2, 1}));
  expect(Full{out(), {2, 1}, 1.5, DType::kBF16}, tensor(DType::kBF16, {2, 1}, {1.5, 1.5}));
  expect(Full{out(), {}, m.value(int32_t{3}), DType::kI32}, i32({}, {3}));
  expect(Full{out(), {}, m.value(true), DType::kF32}, f32({}, {1}));
  expect_error(m.execute(Full{out(), {0}, 1.0, DType::kF32}), ErrorCode::kInvalidArgument, "positive");
  expect_error(m.execute(Full{out(), {1}, 1.0, static_cast<DType>(17)}), ErrorCode::kNotImplemented, "dtype code 17");
  expect(FullLike{t(i32({2}, {1, 2})), out(), 7.9, std::nullopt}, i32({2}, {7, 7}));
  expect(FullLike{t(i32({2}, {1, 2})), out(), 7.5, DType::kF32}, f32({2}, {7.5, 7.5}));
  expect(Tri{out(), 2, 2, 0, DType::kF32}, f32({2, 2}, {1, 0, 1, 1}));
  expect(Tril{t(f32({2, 2}, {1, 2, 3, 4})), out(), 0}, f32({2, 2}, {1, 0, 3, 4}));
  expect(Triu{t(f32({2, 2}, {1, 2, 3, 4})), out(), 0}, f32({2, 2}, {1, 2, 0, 4}));
}

TEST_F(EveryNode, RandomBits) {
  expect(RandomBits{out(), {5}, m.value(int32_t{42}), 4},
         tensor(DType::kU32, {5}, {3134548294, 3733159049, 843694964, 894150801, 801545058}));
  const Tensor first = m.run(program::RandomBits{out(), {64}, std::nullopt, 4}).value();
  const Tensor second = m.run(program::RandomBits{out(), {64}, std::nullopt, 4}).value();
  EXPECT_NE(ops::to_int64s(first), ops::to_int64s(second));  // without a seed: one stream, which goes on
}

TEST_F(EveryNode, Reductions) {
  const Tid x = t(f32({2, 2}, {1, 2, 3, 5}));
  expect(Sum{x, out(), {1}, false}, f32({2}, {3, 8}));
  expect(Prod{x, out(), {}, false}, f32({}, {30}));
  expect(Mean{x, out(), {0}, true}, f32({1, 2}, {2, 3.5}));
  expect(Max{x, out(), {0}, false}, f32({2}, {3, 5}));
  expect(Min{x, out(), {}, true}, f32({1, 1}, {1}));
  expect(Var{x, out(), {1}, false, 1}, f32({2}, {0.5, 2}));
  expect(Std{x, out(), {1}, false, 0}, f32({2}, {0.5, 1}));
  expect(Median{x, out(), {}, false}, f32({}, {2.5}));
  expect(LogSumExp{x, out(), {}, false}, f32({2, 2}, {1, 2, 3, 5}));
  expect(LogSumExp{x, out(), {1}, false}, f32({2}, {2 + std::log(1 + std::exp(-1)), 5 + std::log(1 + std::exp(-2))}));
  expect(Any{x, out(), {1}, false}, boolean({2}, {1, 1}));
  expect(All{t(f32({2}, {1, 0})), out(), {}, false}, boolean({}, {0}));
  expect(Argmax{x, out(), 0, false}, tensor(DType::kU32, {2}, {1, 1}));
  expect(Argmin{x, out(), 1, true}, tensor(DType::kU32, {2, 1}, {0, 0}));
}

TEST_F(EveryNode, Rows) {
  const Tid x = t(f32({3}, {3, 1, 2}));
  expect(Sort{x, out(), 0}, f32({3}, {1, 2, 3}));
  expect(Argsort{x, out(), 0}, tensor(DType::kU32, {3}, {1, 2, 0}));
  EXPECT_EQ(values_of(m.run(Partition{x, out(), -1, 0}))[2], 3);
  EXPECT_EQ(values_of(m.run(ArgPartition{x, out(), 0, 0}))[0], 1);
  expect(Cumsum{x, out(), 0, false, true}, f32({3}, {3, 4, 6}));
  expect(Cumsum{x, out(), 0, true, false}, f32({3}, {3, 2, 0}));
  const double e = std::exp(1), total = e + e * e + e * e * e;
  expect(Softmax{x, out(), -1, true}, f32({3}, {e * e * e / total, e / total, e * e / total}));
  const Tid row = t(f32({1, 2}, {3, 4})), weight = t(f32({2}, {2, 10})), bias = t(f32({2}, {0, 1}));
  const double rms = std::sqrt(12.5);
  expect(RMSNorm{row, weight, out(), 0}, f32({1, 2}, {6 / rms, 40 / rms}), 3);
  expect(RMSNorm{row, std::nullopt, out(), 0}, f32({1, 2}, {3 / rms, 4 / rms}), 3);
  expect(LayerNorm{row, out(), weight, bias, 0}, f32({1, 2}, {-2, 11}), 3);
}

TEST_F(EveryNode, Products) {
  const Tid a = t(f32({1, 2}, {1, 2})), b = t(f32({2, 2}, {1, 2, 3, 4})), bias = t(f32({2}, {10, 20}));
  expect(Addmm{a, b, out(), bias, 1, 1}, f32({1, 2}, {17, 30}));
  expect(Addmm{a, b, out(), std::nullopt, 2, 1}, f32({1, 2}, {14, 20}));  // alpha counts
  const Tid batch = t(f32({2, 1, 2}, {1, 2, 3, 4})), index = t(i32({1}, {1}));
  expect(GatherMm{batch, t(f32({1, 2, 1}, {1, 1})), out(), index, std::nullopt, false, std::nullopt},
         f32({1, 1, 1}, {7}));
}

TEST_F(EveryNode, Quantized) {
  // One row of 32 four-bit codes 0 .. 15, 0 .. 15; scale 2, bias -1.
  const Tensor words = tensor(DType::kU32, {1, 4}, {0x76543210, 0xfedcba98, 0x76543210, 0xfedcba98});
  const Tid w = t(words), scales = t(f32({1, 1}, {2})), biases = t(f32({1, 1}, {-1}));
  Values row;
  for (int i = 0; i < 32; ++i) row.push_back(2 * (i % 16) - 1);
  expect(Dequantize{w, scales, out(), biases, 32, 4, String("affine"), std::nullopt, std::nullopt}, f32({1, 32}, row));
  expect(Dequantize{w, scales, out(), biases, 32, 4, String("affine"), std::nullopt, DType::kBF16},
         tensor(DType::kBF16, {1, 32}, row));
  const Tid ones = t(f32({2, 32}, Values(64, 1)));
  const double sum = 2 * 240 - 32;
  expect(QuantizedMatmul{ones, w, scales, out(), biases, 32, 4, String("affine"), true}, f32({2, 1}, {sum, sum}));
  expect(QuantizedMatmul{t(f32({1, 1}, {3})), w, scales, out(), biases, 32, 4, String("affine"), false},
         f32({1, 32}, [&] {
           Values v = row;
           for (double& x : v) x *= 3;
           return v;
         }()));
  const Tid experts = t(i32({1}, {0}));
  expect(GatherQmm{ones, t(words.reshaped({1, 1, 4})), t(f32({1, 1, 1}, {2})), out(), String("affine"),
                   t(f32({1, 1, 1}, {-1})), std::nullopt, experts, true, 32, 4, true, IntOrVid(1)},
         f32({1, 2, 1}, {sum, sum}));
}

TEST_F(EveryNode, Convolutions) {
  const Tensor x = f32({1, 3, 1}, {1, 2, 3}), w = f32({1, 2, 1}, {1, 10});
  expect(Conv1D{t(x), t(w), out(), 1, 0, 1, 1}, f32({1, 2, 1}, {21, 32}));
  expect(Conv2D{t(x.reshaped({1, 1, 3, 1})), t(w.reshaped({1, 1, 2, 1})), out(), 1, 2, 0, 1, 1, 1, 1},
         f32({1, 1, 2, 1}, {10, 32}));
  expect(Conv3D{t(x.reshaped({1, 1, 3, 1, 1})), t(w.reshaped({1, 1, 2, 1, 1})), out(), 1, 2, 1, 0, 1, 0, 1, 1, 1, 1},
         f32({1, 1, 2, 1, 1}, {10, 32}));
  expect(ConvTranspose1D{t(x), t(w), out(), 2, 1, 1, 1, 1}, f32({1, 5, 1}, {10, 2, 20, 3, 30}));
  expect(ConvTranspose2D{t(x.reshaped({1, 1, 3, 1})), t(w.reshaped({1, 1, 2, 1})), out(), 1, 2, 0, 1, 1, 1, 0, 1, 1},
         f32({1, 1, 5, 1}, {10, 2, 20, 3, 30}));
  expect(ConvTranspose3D{t(x.reshaped({1, 3, 1, 1, 1})), t(w.reshaped({1, 2, 1, 1, 1})), out(), 2, 1, 1, 1, 0, 0, 1, 1,
                         1, 1, 0, 0, 1},
         f32({1, 5, 1, 1, 1}, {10, 2, 20, 3, 30}));
}

TEST_F(EveryNode, RopeTakesItsOffsetFromAVidOrATensor) {
  const Tid x = t(f32({1, 2, 2}, {1, 0, 1, 0}));
  const auto turned = [&](double first) {
    return f32({1, 2, 2}, {std::cos(first), std::sin(first), std::cos(first + 1), std::sin(first + 1)});
  };
  expect(program::Rope{x, out(), 2, m.value(int32_t{5}), std::nullopt, false, 100, 1}, turned(5), 2);
  expect(program::Rope{x, out(), 2, t(i64({1}, {7})), std::nullopt, true, 100, 1}, turned(7), 2);
  const Tid period = t(f32({1}, {1}));
  expect(program::Rope{x, out(), 2, t(i32({}, {3})), period, false, 0, 1}, turned(3), 2);
  expect_error(m.execute(program::Rope{x, out(), 2, t(f32({1}, {7})), std::nullopt, true, 100, 1}),
               ErrorCode::kInvalidArgument, "integer");
  expect_error(m.execute(program::Rope{x, out(), 2, t(i32({1, 1}, {7})), std::nullopt, true, 100, 1}),
               ErrorCode::kInvalidArgument, "rank 0 or 1");
}

TEST_F(EveryNode, Attention) {
  const Tid q = t(f32({1, 1, 1, 1}, {0})), k = t(f32({1, 1, 2, 1}, {1, 2})), v = t(f32({1, 1, 2, 1}, {2, 6}));
  const Tid mask = t(boolean({1, 2}, {0, 1}));
  expect(program::Sdpa{q, k, v, out(), 1, std::nullopt, true}, f32({1, 1, 1, 1}, {4}));  // the last query sees both
  expect(program::Sdpa{q, k, v, out(), 1, mask, false}, f32({1, 1, 1, 1}, {6}));
  expect_error(m.execute(program::Sdpa{q, k, v, out(), 1, mask, true}), ErrorCode::kInvalidArgument, "not both");
}

}  // namespace
}  // namespace tessera::runtime
