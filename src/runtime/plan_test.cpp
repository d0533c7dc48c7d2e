// Small programs by their plan against the same instructions one by one: what is fused, what is kept, what is left to
// the interpreter and its checks. Whole models are in tests/.
#include "runtime/plan.h"

#include "ops/ops_testing.h"

namespace tessera::runtime {
namespace {

using namespace ops::testing;
using namespace program;
using ops::Tensor;
using Kinds = std::vector<std::string_view>;

// Tensor slots: 3 constants, the tokens, an output, temporaries.
constexpr Tid kTable{0}, kScale{1}, kWeight{2}, kInput{3};
constexpr Out kOutput{{4}};
constexpr Out temp(uint32_t i) { return {{5 + i}}; }

class Plans : public ::testing::Test {
 protected:
  void SetUp() override {
    program_.n_constants = 3;
    program_.n_inputs = program_.n_outputs = 1;
    program_.n_temps = program_.n_values = 8;
    program_.chains.resize(3);
    program_.input_map = {{.idx = kInput.idx, .type = SlotType::kTensor}};
    program_.output_map = {{.idx = kOutput.idx, .type = SlotType::kTensor}};
    program_.inputs.resize(1);
    program_.inputs[0].dtype = DType::kI64;
    constants_ = {f32({4, 2}, {0, 1, 2, 3, 4, 5, 6, 7}), f32({}, {1.7}), f32({2}, {1, 2})};
  }
  Chain& main() { return program_.chains[0]; }

  // What the output is after the main chain ran on `input`.
  Result<Tensor> run(const Tensor& input, const PlanOptions& options = {}) {
    Slots slots(program_);
    for (uint32_t i = 0; i < constants_.size(); ++i) TRY(slots.set_constant(Tid{i}, constants_[i]));
    const Plan plan = TRY(Plan::create(program_, slots, options));
    kinds_.clear();
    for (const StepPtr& step : plan.steps()) kinds_.push_back(step->kind());
    TRY(slots.set(kInput, input));
    ThreadPool pool(1);
    Workspace workspace;
    ExecutionContext execution{.program = program_, .slots = slots, .pool = &pool};
    const auto isa = kernels::cpu::best_isa();
    StepContext context{.execution = execution,
                        .workspace = workspace,
                        .pool = pool,
                        .isa = isa,
                        .floats = kernels::cpu::float_kernels(isa)};
    TRY(plan.run(context));
    return slots.get(kOutput);
  }
  Result<Tensor> interpret(const Tensor& input) { return run(input, {.disabled_fusions = {"all"}}); }

  Program program_;
  std::vector<Tensor> constants_;
  Kinds kinds_;
};

TEST_F(Plans, AStepThatWritesAnOutputIsKept) {
  main() = {Take{kTable, kOutput, kInput, 0}};
  expect_tensor(run(i64({2}, {3, 0})), DType::kF32, {2, 2}, {6, 7, 0, 1});
  EXPECT_EQ(kinds_, Kinds{"embedding"});
  main() = {RMSNorm{kInput, kWeight, temp(0), 1e-6f}, Add{kInput, temp(0), kOutput}};
  const Tensor x = f32({1, 2}, {3, 4});
  expect_tensor(run(x), DType::kF32, {1, 2}, to_doubles(*interpret(x)), 8);
  run(x).value();
  EXPECT_EQ(kinds_, Kinds{"residual"});
}

// A scalar of a wider dtype promotes rows that no weight says the dtype of.
TEST_F(Plans, AResidualWithoutAWeightTakesNoScale) {
  main() = {RMSNorm{kInput, std::nullopt, temp(0), 1e-6f}, Add{kInput, temp(0), temp(1)},
            Multiply{temp(1), kScale, kOutput}};
  const Tensor x = tensor(DType::kBF16, {1, 2}, {3.03125, 4.09375});
  const auto found = run(x);
  expect_tensor(found, DType::kF32, {1, 2}, to_doubles(*interpret(x)), 0);
}

TEST_F(Plans, WhatOneBranchWritesTheOtherKeeps) {
  const Vid n{0};
  main() = {ItemInt{kInput, {n}}, If{0, 1, 2}, Full{kOutput, {n}, 5.0, DType::kF32}};
  program_.chains[1] = {AddInt{Vid{1}, 1, {n}}};
  expect_tensor(run(i64({1}, {3})), DType::kF32, {3}, {5, 5, 5});
  main() = {Full{temp(0), {1}, 5.0, DType::kF32}, If{0, 1, 2}, IdCopy{temp(0), kOutput}};
  program_.chains[1] = {Full{temp(0), {2}, 6.0, DType::kF32}};
  expect_tensor(run(i64({1}, {3})), DType::kF32, {1}, {5});
}

// The kernel `name` of Q8_0 blocks, whose rows are one block.
MetalKernel kernel(const char* name, std::vector<Tid> inputs, std::vector<IntOrVid> shape, DType dtype) {
  MetalKernel out;
  out.name = String(name);
  out.inputs.assign(inputs.begin(), inputs.end());
  out.input_names.resize(inputs.size());
  out.outputs = {kOutput};
  out.output_names.resize(1);
  out.grid = out.threadgroup = {1, 1, 1};
  out.output_shape_lengths = {static_cast<int32_t>(shape.size())};
  out.output_shapes_flat = std::move(shape);
  out.output_dtypes = {dtype};
  return out;
}

TEST_F(Plans, KernelsThatDoNotFitAreLeftToTheirChecks) {
  constants_[kWeight.idx] = *Tensor::zeroed(DType::kU8, {4, 34});
  const Tensor x = f32({1, 32}, std::vector<double>(32, 1)), ids = i64({2}, {3, 0});
  main() = {kernel("gguf_q8_0_matvec", {kInput, kWeight}, {1, 4}, DType::kF32)};
  EXPECT_TRUE(run(x));
  EXPECT_EQ(kinds_, Kinds{"head"});  // of one token
  for (const DType dtype : {DType::kBool, DType::kU8, DType::kI8, DType::kF64}) {
    main() = {kernel("gguf_q8_0_matvec", {kInput, kWeight}, {1, 4}, dtype)};
    EXPECT_FALSE(run(x)) << name_of(dtype);
    main() = {kernel("gguf_q8_0_embedding", {kWeight, kInput}, {2, 32}, dtype)};
    EXPECT_FALSE(run(ids)) << name_of(dtype);
  }
  for (const Shape& empty : {Shape{4, 0}, Shape{0, 34}}) {
    constants_[kWeight.idx] = *Tensor::zeroed(DType::kU8, empty);
    main() = {kernel("gguf_q8_0_matvec", {kInput, kWeight}, {1, empty[0]}, DType::kF32)};
    EXPECT_FALSE(run(f32({1, 0}, {}))) << to_string(empty);
    EXPECT_EQ(kinds_, Kinds{"MetalKernel"});
  }
}

// A linear takes the number that its output is multiplied by, alone and in a gated pair; only one of its own dtype, and
// only if nobody else reads what was not multiplied.
TEST_F(Plans, LinearsTakeTheirFactors) {
  const Tensor x = f32({1, 2}, {3, 4});
  const auto run_linears = [&](const Chain& after, const Kinds& kinds) {
    main() = {Transpose{kTable, temp(6), {1, 0}}, Addmm{kInput, temp(6), temp(0)}};
    main().insert(main().end(), after.begin(), after.end());
    expect_tensor(run(x), DType::kF32, {1, 4}, to_doubles(*interpret(x)), 8);
    EXPECT_TRUE(run(x));
    EXPECT_EQ(kinds_, kinds);
  };
  run_linears({Multiply{temp(0), kScale, kOutput}}, {"linear"});
  run_linears(
      {Multiply{temp(0), kScale, temp(1)}, Transpose{kTable, temp(7), {1, 0}}, Addmm{kInput, temp(7), temp(2)},
       Multiply{temp(2), kScale, temp(3)}, Gelu{temp(1), temp(4), String("tanh")}, Multiply{temp(4), temp(3), kOutput}},
      {"gate and up"});
  run_linears({Multiply{temp(0), kScale, temp(1)}, Add{temp(0), temp(1), kOutput}}, {"linear", "Multiply", "Add"});
  constants_[kScale.idx] = tensor(DType::kBF16, {}, {1.6875});
  run_linears({Multiply{temp(0), kScale, kOutput}}, {"linear", "Multiply"});
}

TEST_F(Plans, IdsAreWholeNumbersOf32Or64Bits) {
  constants_[kWeight.idx] = *Tensor::zeroed(DType::kU8, {4, 34});
  main() = {kernel("gguf_q8_0_embedding", {kWeight, kInput}, {2, 32}, DType::kF32)};
  EXPECT_TRUE(run(i64({2}, {3, 0})));
  EXPECT_TRUE(run(i32({2}, {3, 0})));
  EXPECT_EQ(kinds_, Kinds{"embedding"});
  for (const DType dtype : {DType::kU8, DType::kI16, DType::kF32, DType::kBool})
    expect_error(run(tensor(dtype, {2}, {1, 0})), ErrorCode::kInvalidArgument, "expected i32 or i64");
}

}  // namespace
}  // namespace tessera::runtime
