#include "runtime/execute.h"

#include "ops/create.h"
#include "ops/ops_testing.h"
#include "ops/sdpa.h"
#include "ops/slice.h"
#include "test_util.h"

namespace tessera::runtime {
namespace {

using namespace ops::testing;
using namespace program;
using ops::Tensor;
using tessera::testing::fresh_rng;
constexpr auto kBad = ErrorCode::kInvalidArgument;

Data data_of(const Tensor& tensor) { return {tensor.bytes(), tensor.owner}; }
TensorMeta meta_of(const Shape& shape, DType dtype) {
  TensorMeta meta;
  for (int64_t dim : shape) meta.shape.push_back({static_cast<int32_t>(dim), 0, -1});
  meta.dtype = dtype;
  return meta;
}

// y = x + bias with x (T, 4), T from 1 to 8: the worked example of the program format.
Program tiny_program() {
  Program p;
  p.n_constants = p.n_inputs = p.n_outputs = 1;
  p.n_values = 1;
  const Tid bias{0}, x{1};
  const Out y{{2}};
  p.chains = {{SymSize{x, 0, VidOut{{0}}}, Add{x, bias, y}}};
  p.input_map = {{1, SlotType::kTensor}};
  p.output_map = {{2, SlotType::kTensor}};
  p.named_slots = {
      {"abcd/bias", {0, SlotType::kTensor}}, {"abcd/x", {1, SlotType::kTensor}}, {"abcd/out", {2, SlotType::kTensor}}};
  const TensorMeta dynamic{{{-1, 1, 8}, {4, 0, -1}}, DType::kF32};
  p.tensor_meta = {meta_of({4}, DType::kF32), dynamic, dynamic};
  p.inputs = p.outputs = {{DType::kF32, {8, 4}, true}};
  p.data["abcd/bias"] = data_of(f32({4}, {10, 20, 30, 40}));
  return p;
}

Tensor tensor_of(const Argument& argument) { return std::get<Tensor>(argument); }

TEST(Execute, TinyProgram) {
  const auto out = run(tiny_program(), std::vector<Argument>{counting(DType::kF32, {2, 4})});
  ASSERT_TRUE(out.has_value()) << out.error().message;
  ASSERT_EQ(out->size(), 1u);
  expect_same(tensor_of((*out)[0]), f32({2, 4}, {10, 21, 32, 43, 14, 25, 36, 47}));
}

TEST(Execute, ChecksInputsAndOutputs) {
  const Program p = tiny_program();
  using Arguments = std::vector<Argument>;
  expect_error(run(p, Arguments{}), kBad, "0 inputs given, the program takes 1");
  expect_error(run(p, Arguments{counting(DType::kI32, {2, 4})}), kBad, "must be f32, found i32 [2, 4]");
  expect_error(run(p, Arguments{int64_t{3}}), kBad, "needs a tensor");
  expect_error(run(p, Arguments{counting(DType::kF32, {9, 4})}), kBad,
               "input 0 \"abcd/x\": found f32 [9, 4], declared at most [8, 4]");
  expect_error(run(p, Arguments{counting(DType::kF32, {8})}), kBad, "input 0 \"abcd/x\": found f32 [8]");
  Program wider = p;  // an output past its bound
  wider.outputs[0].sizes = {1, 4};
  expect_error(run(wider, Arguments{counting(DType::kF32, {2, 4})}), kBad, "output 0: found f32 [2, 4]");
  expect_error(run(p, Arguments{counting(DType::kF32, {2, 3})}), kBad, "instruction 1 (Add)");
}

TEST(Execute, CastsOutputsAndReturnsInts) {
  Program p = tiny_program();
  p.outputs[0].dtype = DType::kI64;
  p.output_map.push_back({0, SlotType::kInt});
  p.outputs.push_back({DType::kI64, {}, false});
  const auto out = run(p, std::vector<Argument>{counting(DType::kF32, {3, 4})});
  ASSERT_TRUE(out.has_value()) << out.error().message;
  EXPECT_EQ(tensor_of((*out)[0]).dtype, DType::kI64);
  EXPECT_EQ(std::get<int64_t>((*out)[1]), 3);
}

// Two draws of random bits in one run differ; a seed makes runs repeat.
TEST(Execute, ASeedMakesRandomBitsRepeat) {
  Program p;
  p.n_outputs = 2;
  const Out first{{0}}, second{{1}};
  p.chains = {{RandomBits{first, {64}, std::nullopt, 4}, RandomBits{second, {64}, std::nullopt, 4}}};
  p.output_map = {{0, SlotType::kTensor}, {1, SlotType::kTensor}};
  p.tensor_meta = {meta_of({64}, DType::kU32), meta_of({64}, DType::kU32)};
  p.outputs = {{DType::kU32, {64}, false}, {DType::kU32, {64}, false}};
  const auto draw = [&](std::optional<uint32_t> seed) {
    auto execution = Execution::create(p, {.seed = seed});
    EXPECT_TRUE(execution.has_value()) << execution.error().message;
    const auto out = execution->run({});
    EXPECT_TRUE(out.has_value()) << out.error().message;
    return std::pair(ops::to_doubles(tensor_of((*out)[0])), ops::to_doubles(tensor_of((*out)[1])));
  };
  EXPECT_EQ(draw(7), draw(7));
  EXPECT_NE(draw(7), draw(8));
  EXPECT_NE(draw(std::nullopt), draw(std::nullopt));
  EXPECT_NE(draw(7).first, draw(7).second);
  EXPECT_EQ(draw(42).first[0], ops::to_doubles(ops::random_bits({64}, 4, 42).value())[0]);
}

// An input added to a mutable buffer, and an init chain that replaces a constant by another shape.
TEST(Execute, StateAndInitChain) {
  Program p;
  p.n_constants = 2;
  p.n_inputs = p.n_outputs = p.n_mutable = 1;
  p.n_temps = 1;
  const Tid scalar{0}, x{2};
  const Out widened{{1}}, out{{3}}, state{{4}}, temp{{5}};
  p.chains = {{Add{state, x, temp}, Add{temp, widened, state}, IdCopy{state, out}},
              {Multiply{scalar, scalar, widened}, BroadcastTo{widened, widened, {2}}}};
  p.init_chain = 1;
  p.input_map = {{2, SlotType::kTensor}};
  p.output_map = {{3, SlotType::kTensor}};
  p.mutable_map = {{4, SlotType::kTensor}};
  p.named_slots = {{"scalar", {0, SlotType::kTensor}},
                   {"dummy", {1, SlotType::kTensor}},
                   {"x", {2, SlotType::kTensor}},
                   {"out", {3, SlotType::kTensor}},
                   {"state", {4, SlotType::kTensor}}};
  const TensorMeta pair = meta_of({2}, DType::kF32), one = meta_of({}, DType::kF32);
  p.tensor_meta = {one, one, pair, pair, pair};
  p.inputs = p.outputs = {{DType::kF32, {2}, false}};
  p.data["scalar"] = data_of(f32({}, {10}));
  p.data["dummy"] = data_of(f32({}, {0}));

  auto execution = Execution::create(p, {});
  ASSERT_TRUE(execution.has_value()) << execution.error().message;
  const std::vector<Argument> inputs{f32({2}, {1, 2})};
  const auto first = execution->run(inputs), second = execution->run(inputs);
  ASSERT_TRUE(first.has_value() && second.has_value());
  expect_same(tensor_of((*first)[0]), f32({2}, {101, 102}));  // a result the caller keeps does not change
  expect_same(tensor_of((*second)[0]), f32({2}, {202, 204}));
  auto other = Execution::create(p, {});  // another handle starts from zeros
  expect_same(tensor_of((*other->run(inputs))[0]), f32({2}, {101, 102}));
}

// One sliding attention layer as exported programs hold it: ring write in two slices, a mask from positions, Sdpa.
struct SlidingProgram {
  static constexpr int32_t kWindow = 5, kChunk = 4, kSlots = kWindow + kChunk - 1;
  Program p;
  Chain chain;
  uint32_t next_temp = 0, next_value = 0;

  Out temp() { return {{7 + next_temp++}}; }
  VidOut value() { return {{next_value++}}; }
  template <typename N>
  Out add(N node) {
    node.out = temp();
    chain.push_back(node);
    return node.out;
  }
  VidOut add_int(auto node) {
    node.out = value();
    chain.push_back(node);
    return node.out;
  }
  void write_ring(Tid update, Out cache, Vid start) {
    const Vid w = add_int(ModInt{start, kSlots, {}}), n = add_int(SymSize{update, 2, {}});
    const Vid room = add_int(SubtractInt{kSlots, w, {}});
    const Out head = add(Slice{update, {}, 2, 0, room, 1});
    const Vid a = add_int(SymSize{head, 2, {}});
    const Out tail = add(Slice{update, {}, 2, a, n, 1});
    const Vid end = add_int(AddInt{w, a, {}}), rest = add_int(SubtractInt{n, a, {}});
    chain.push_back(SliceUpdate{cache, head, cache, 2, w, end, 1});
    chain.push_back(SliceUpdate{cache, tail, cache, 2, 0, rest, 1});
  }
  Out full(Vid v) { return add(Full{{}, {}, v, DType::kI64}); }
  // bool (T, kSlots): slot s holds position base + s up to the last one written, base - kSlots + s after it.
  Out mask(Vid start, Vid n_tokens) {
    const Vid end = add_int(AddInt{start, n_tokens, {}}), before = add_int(SubtractInt{end, 1, {}});
    const Vid last = add_int(ModInt{before, kSlots, {}}), base = add_int(SubtractInt{before, last, {}});
    const Vid wrapped = add_int(SubtractInt{base, kSlots, {}});
    const Out slot = add(ARange{{}, 0, kSlots, 1, DType::kI64});
    const Out position = add(Where{
        add(LessEqual{slot, full(last), {}}), add(Add{slot, full(base), {}}), add(Add{slot, full(wrapped), {}}), {}});
    const Out rows = add(ARange{{}, start, end, 1, DType::kI64});
    const Out query = add(Reshape{rows, {}, {-1, 1}});
    const Out distance = add(Subtract{query, position, {}});
    const Out zero = add(Full{{}, {}, 0.0, DType::kI64}), window = add(Full{{}, {}, double{kWindow}, DType::kI64});
    const Out written = add(GreaterEqual{position, zero, {}}), past = add(GreaterEqual{distance, zero, {}});
    const Out both = add(BitwiseAnd{written, past, {}});
    return add(BitwiseAnd{both, add(Less{distance, window, {}}), {}});
  }
  SlidingProgram() {
    const Tid q{0}, k{1}, v{2}, pos{3};
    const Out out{{4}}, k_cache{{5}}, v_cache{{6}};
    const Out first = add(Take{pos, {}, 0, 0});
    const Vid start = add_int(ItemInt{first, {}}), n_tokens = add_int(SymSize{q, 2, {}});
    write_ring(k, k_cache, start);
    write_ring(v, v_cache, start);
    chain.push_back(Sdpa{q, k_cache, v_cache, out, 0.5f, mask(start, n_tokens), false});
    p.n_inputs = 4;
    p.n_outputs = 1;
    p.n_mutable = 2;
    p.n_temps = next_temp;
    p.n_values = next_value;
    p.chains = {chain};
    for (uint32_t i = 0; i < 4; ++i) p.input_map.push_back({i, SlotType::kTensor});
    p.output_map = {{4, SlotType::kTensor}};
    p.mutable_map = {{5, SlotType::kTensor}, {6, SlotType::kTensor}};
    const char* names[] = {"q", "k", "v", "pos", "out", "k_cache", "v_cache"};
    for (uint32_t i = 0; i < 7; ++i) p.named_slots.push_back({names[i], {i, SlotType::kTensor}});
    const TensorMeta step{{{1, 0, -1}, {2, 0, -1}, {-1, 1, kChunk}, {8, 0, -1}}, DType::kF32};
    const TensorMeta cache = meta_of({1, 2, kSlots, 8}, DType::kF32);
    p.tensor_meta = {step, step, step, {{{-1, 1, kChunk}}, DType::kI64}, step, cache, cache};
    p.inputs = {{DType::kF32, {1, 2, kChunk, 8}, true},
                {DType::kF32, {1, 2, kChunk, 8}, true},
                {DType::kF32, {1, 2, kChunk, 8}, true},
                {DType::kI64, {kChunk}, true}};
    p.outputs = {{DType::kF32, {1, 2, kChunk, 8}, true}};
  }
};

TEST(Execute, RingCacheProgramEqualsBruteForce) {
  auto rng = fresh_rng();
  const SlidingProgram sliding;
  auto execution = Execution::create(sliding.p, {});
  ASSERT_TRUE(execution.has_value()) << execution.error().message;
  constexpr int64_t kTotal = 40;
  const Shape shape{1, 2, kTotal, 8};
  const Tensor q = random(rng, DType::kF32, shape), k = random(rng, DType::kF32, shape),
               v = random(rng, DType::kF32, shape);
  const std::byte* home = execution->slots().find(Tid{5})->data;
  for (int64_t start = 0; start < kTotal;) {
    const int64_t end = std::min<int64_t>(kTotal, start + 1 + static_cast<int64_t>(rng() % 4));
    const auto part = [&](const Tensor& x, int64_t begin) { return ops::slice(x, 2, begin, end, 1).value(); };
    const Tensor positions = ops::arange(start, end, 1, DType::kI64).value();
    const auto out = execution->run(std::vector<Argument>{part(q, start), part(k, start), part(v, start), positions});
    ASSERT_TRUE(out.has_value()) << out.error().message;
    const Tensor expected =
        ops::sliding_attention(part(q, start), part(k, 0), part(v, 0), 0.5f, SlidingProgram::kWindow).value();
    expect_tensor(tensor_of((*out)[0]), DType::kF32, expected.shape, ops::to_doubles(expected), 2);
    EXPECT_EQ(execution->slots().find(Tid{5})->data, home);  // the cache is updated in place
    start = end;
  }
}

}  // namespace
}  // namespace tessera::runtime
