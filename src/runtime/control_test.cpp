// Slots, branches, loops, aliasing and updates in place.
#include <cstring>

#include "runtime/interpreter_testing.h"

namespace tessera::runtime {
namespace {

using namespace ops::testing;
using namespace program;
using ops::Tensor;
using runtime::testing::Machine;
constexpr auto kBad = ErrorCode::kInvalidArgument;
constexpr auto kRange = ErrorCode::kOutOfRange;

TEST(Slots, ReadingWhatIsNotThere) {
  Machine m;
  expect_error(m.execute(Exp{m.out(3), m.out()}), kBad, "unset");
  expect_error(m.execute(Exp{Tid{9999}, m.out()}), kRange, "t9999");
  expect_error(m.execute(AddInt{Vid{3}, 1, m.value_out()}), kBad, "v3, which is unset");
  expect_error(m.execute(AddInt{Vid{300}, 1, m.value_out()}), kRange, "v300");
  expect_error(m.execute(AddInt{m.value(1.5f), 1, m.value_out()}), kBad, "holds a float");
  expect_error(m.execute(AddInt{m.value(true), 1, m.value_out()}), kBad, "holds a bool");
}

// A program of one constant, "c", of these bytes.
Program program_of(DType dtype, const std::vector<ShapeDim>& shape, std::span<const std::byte> bytes) {
  Program program;
  program.n_constants = 1;
  program.tensor_meta = {{shape, dtype}};
  program.named_slots = {{"c", {0, SlotType::kTensor}}};
  program.data["c"] = {.bytes = bytes};
  return program;
}

TEST(Slots, AConstantIsSharedUnlessItLiesAskew) {
  alignas(float) std::byte bytes[3 * sizeof(float)];
  const float values[] = {1.5f, -2};
  for (size_t shift = 0; shift <= sizeof(float); ++shift) {
    std::memcpy(bytes + shift, values, sizeof(values));
    const Program program = program_of(DType::kF32, {{2}}, std::span(bytes).subspan(shift, sizeof(values)));
    Slots slots(program);
    ASSERT_TRUE(slots.bind_constants(program).has_value());
    const Tensor constant = slots.get(Tid{0}).value();
    EXPECT_EQ(constant.data == bytes + shift, shift % sizeof(float) == 0);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(constant.data) % sizeof(float), 0u);
    EXPECT_TRUE(constant.read_only);
    expect_same(constant, f32({2}, {1.5, -2}));
  }
}

TEST(Slots, AConstantBoolIsZeroOrOne) {
  std::vector<std::byte> bytes{std::byte{0}, std::byte{1}, std::byte{1}};
  const Program program = program_of(DType::kBool, {{3}}, bytes);
  Slots slots(program);
  ASSERT_TRUE(slots.bind_constants(program).has_value());
  expect_same(slots.get(Tid{0}), boolean({3}, {0, 1, 1}));
  bytes[2] = std::byte{7};
  expect_error(slots.bind_constants(program), ErrorCode::kInvalidFormat, "\"c\": a bool is 0 or 1, found 7 at index 2");
}

TEST(Slots, ConstantsAreWrittenInTheInitChainOnly) {
  Machine m;
  const Out constant{Machine::constant()};
  const Full node{constant, {2}, 3.0, DType::kF32};
  expect_error(m.execute(node), kBad, "outside the init chain");
  EXPECT_TRUE(m.execute(node, true).has_value());
  expect_same(m.slots().get(constant), f32({2}, {3, 3}));
  const Tid update = m.tensor(f32({2}, {1, 2}));
  expect_error(m.execute(SliceUpdate{constant, update, m.out(), 0, 0, 2, 1}, true), kBad, "is a constant");
  expect_error(m.execute(IndexCopy{constant, update, m.tensor(i64({2}, {0, 1})), m.out(), 0}, true), kBad,
               "is a constant");
}

TEST(Slots, ClearKeepsConstantsAndMutableBuffers) {
  Machine m;
  const Tensor x = f32({1}, {1});
  const Tid temp = m.tensor(x);
  const Vid value = m.value(int32_t{1});
  ASSERT_TRUE(m.slots().set_constant(Machine::constant(), x).has_value());
  ASSERT_TRUE(m.slots().set(Machine::mutable_buffer(), x).has_value());
  m.slots().clear();
  EXPECT_TRUE(m.slots().get(Machine::constant()).has_value());
  EXPECT_TRUE(m.slots().get(Machine::mutable_buffer()).has_value());
  EXPECT_FALSE(m.slots().get(temp).has_value());
  EXPECT_FALSE(m.slots().get(value).has_value());
}

TEST(Slots, AMutableBufferOwnsItsBytes) {
  Machine m;
  std::vector<float> lent{1, 2};
  const Tid input = m.tensor(Tensor::borrow(DType::kF32, {2}, lent.data(), nullptr));
  ASSERT_TRUE(m.execute(IdCopy{input, Out{Machine::mutable_buffer()}}).has_value());
  lent = {8, 9};
  expect_same(m.slots().get(Machine::mutable_buffer()), f32({2}, {1, 2}));
}

TEST(InPlace, AMutableBufferIsUpdatedWhereItLies) {
  Machine m;
  const Out cache{Machine::mutable_buffer()};
  ASSERT_TRUE(m.slots().set(cache, f32({4, 2}, std::vector<double>(8, 0))).has_value());
  const std::byte* home = m.slots().find(cache)->data;
  const Tid row = m.tensor(f32({1, 2}, {1, 2}));
  for (int64_t i = 0; i < 3; ++i) ASSERT_TRUE(m.execute(SliceUpdate{cache, row, cache, 0, i, i + 1, 1}).has_value());
  ASSERT_TRUE(m.execute(IndexCopy{cache, row, m.tensor(i64({1}, {-1})), cache, 0}).has_value());
  EXPECT_EQ(m.slots().find(cache)->data, home);
  expect_same(m.slots().get(cache), f32({4, 2}, {1, 2, 1, 2, 1, 2, 1, 2}));
}

TEST(InPlace, WhoeverHoldsTheOldValueKeepsIt) {
  Machine m;
  const Out cache{Machine::mutable_buffer()};
  const Tensor before = f32({2}, {1, 2});
  ASSERT_TRUE(m.slots().set(cache, ops::clone(before).value()).has_value());
  const Out alias = m.out(5);
  ASSERT_TRUE(m.execute(Reshape{cache, alias, {2, 1}}).has_value());
  EXPECT_EQ(m.slots().find(alias)->data, m.slots().find(cache)->data);  // reshaping shares the bytes
  ASSERT_TRUE(m.execute(SliceUpdate{cache, m.tensor(f32({}, {9})), cache, 0, 0, 1, 1}).has_value());
  expect_same(m.slots().get(alias), before.reshaped({2, 1}));
  expect_same(m.slots().get(cache), f32({2}, {9, 2}));
}

TEST(InPlace, AnotherOutputLeavesTheSourceAlone) {
  Machine m;
  const Tid x = m.tensor(f32({2}, {1, 2}));
  expect_same(m.run(SliceUpdate{x, m.tensor(f32({}, {9})), m.out(), 0, 0, 1, 1}), f32({2}, {9, 2}));
  expect_same(m.slots().get(x), f32({2}, {1, 2}));
}

TEST(InPlace, AFailedUpdateChangesNothing) {
  Machine m;
  const Out cache{Machine::mutable_buffer()};
  ASSERT_TRUE(m.slots().set(cache, f32({2}, {1, 2})).has_value());
  EXPECT_FALSE(m.execute(SliceUpdate{cache, m.tensor(f32({3}, {7, 8, 9})), cache, 0, 0, 3, 1}).has_value());
  EXPECT_FALSE(
      m.execute(IndexCopy{cache, m.tensor(f32({2}, {7, 8})), m.tensor(i64({2}, {0, 5})), cache, 0}).has_value());
  expect_same(m.slots().get(cache), f32({2}, {1, 2}));
}

TEST(Chains, ErrorsNameTheirPlace) {
  Machine m;
  const uint32_t inner = m.add_chain({Noop{}, Exp{m.out(9), m.out()}});
  const uint32_t outer = m.add_chain({If{1, inner, inner}});
  ExecutionContext context = m.context();
  expect_error(
      execute_chain(outer, context), kBad,
      fmt::format("chain {}, instruction 0 (If): chain {}, instruction 1 (Exp): reading tensor slot", outer, inner));
  expect_error(execute_chain(99, context), kRange, "chain 99");
  expect_error(execute_range(outer, 0, 2, context), kRange, "0 to 2");
  EXPECT_TRUE(execute_range(inner, 0, 1, context).has_value());
}

TEST(Chains, IfTakesTheBranchOfItsCondition) {
  Machine m;
  const uint32_t yes = m.add_chain({Full{m.out(), {}, 1.0, DType::kF32}});
  const uint32_t no = m.add_chain({Full{m.out(), {}, 2.0, DType::kF32}});
  expect_same(m.run(If{1, yes, no}), f32({}, {1}));
  expect_same(m.run(If{0, yes, no}), f32({}, {2}));
  expect_same(m.run(If{m.value(int32_t{-5}), yes, no}), f32({}, {1}));  // negative counts as non-zero
  expect_same(m.run(If{0, 12345, no}), f32({}, {2}));                   // an untaken branch is not looked at
  expect_error(m.execute(If{1, 12345, no}), kRange, "chain 12345");
  expect_error(m.execute(If{m.value(true), yes, no}), kBad, "holds a bool");
}

TEST(Chains, AChainThatEntersItselfIsAnError) {
  Machine m;
  const uint32_t chain = static_cast<uint32_t>(m.program().chains.size());
  m.add_chain({If{1, chain, chain}});
  ExecutionContext context = m.context();
  expect_error(execute_chain(chain, context), kBad, "enters itself");
}

TEST(Chains, ScanOfARunningSum) {
  Machine m;
  const Tid x = m.tensor(f32({2, 4}, {1, 2, 3, 4, 10, 20, 30, 40}));
  const Out entry = m.out(1), total = m.out(2);
  ASSERT_TRUE(m.slots().set(total, f32({2}, {0, 0})).has_value());
  const uint32_t body = m.add_chain({Add{total, entry, total}, IdCopy{total, m.out()}});
  expect_same(m.run(Scan{{x}, {entry}, {m.out()}, {total}, static_cast<int32_t>(body), 1}),
              f32({2, 4}, {1, 3, 6, 10, 10, 30, 60, 100}));
  expect_same(m.slots().get(total), f32({2}, {10, 100}));
}

TEST(Chains, ScanRefusesWhatItCannotStep) {
  Machine m;
  const Tid x = m.tensor(f32({2, 1}, {1, 2})), empty = m.tensor(f32({0, 1}, {}));
  const auto body = static_cast<int32_t>(m.add_chain({}));
  expect_error(m.execute(Scan{{x}, {}, {}, {}, body, 0}), kBad, "1 tensors to scan, 0 slots");
  expect_error(m.execute(Scan{{empty}, {m.out()}, {}, {}, body, 0}), kBad, "empty axis");
  expect_error(m.execute(Scan{{x}, {m.out()}, {}, {}, body, 2}), kBad, "axis 2");
  expect_error(m.execute(Scan{{x}, {m.out()}, {}, {}, -1, 0}), kBad, "chain -1");
  const Tid longer = m.tensor(f32({3, 1}, {1, 2, 3}));
  expect_error(m.execute(Scan{{longer, x}, {m.out(), m.out(1)}, {}, {}, body, 0}), kRange, "index 2");
}

}  // namespace
}  // namespace tessera::runtime
