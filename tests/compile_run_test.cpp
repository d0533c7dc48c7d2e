// The proof of lowering: a compiled program executed instruction by instruction by the generic interpreter - no
// planner, no hints, no fused step - gives the logits another engine computed.
#include <numeric>

#include "model_testing.h"
#include "runtime/interpreter.h"

namespace tessera {
namespace {

using namespace testing;  // NOLINT: the test helpers

// A host that calls a program as ExecuTorch's runner would: tensors in, tensors out, state in the mutable buffers.
class GenericRun {
 public:
  explicit GenericRun(const program::Program& program) : program_(program), slots_(program) {
    const Status verified = program::verify(program);
    EXPECT_TRUE(verified) << verified.error().message;
    EXPECT_TRUE(slots_.bind_constants(program));
    EXPECT_TRUE(slots_.allocate_mutable_buffers(program));
  }

  // Logits after the last of `tokens`.
  std::vector<float> step(std::span<const int32_t> tokens) {
    const auto n = static_cast<int64_t>(tokens.size());
    auto ids = *ops::Tensor::allocate(DType::kI64, {1, n});
    auto positions = *ops::Tensor::allocate(DType::kI64, {n});
    std::copy(tokens.begin(), tokens.end(), ids.as<int64_t>());
    std::iota(positions.as<int64_t>(), positions.as<int64_t>() + n, position_);
    position_ += n;
    slots_.clear();
    EXPECT_TRUE(slots_.set(program::Tid{program_.input_map[0].idx}, std::move(ids)));
    EXPECT_TRUE(slots_.set(program::Tid{program_.input_map[1].idx}, std::move(positions)));
    runtime::ExecutionContext context{.program = program_, .slots = slots_};
    const Status status = runtime::execute_chain(program_.main_chain, context);
    EXPECT_TRUE(status) << status.error().message;
    const auto logits = slots_.get(program::Tid{program_.output_map[0].idx});
    if (!logits) return {};
    EXPECT_EQ(logits->dtype, DType::kF32);
    return {logits->as<float>(), logits->as<float>() + logits->n_elements()};
  }

 private:
  const program::Program& program_;
  runtime::Slots slots_;
  int64_t position_ = 0;
};

struct Case {
  const char* folder;
  const char* name;
  compile::CompileOptions options;
  double tolerance;  // of the difference's norm, relative
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.folder << "/" << c.name; }

class CompiledPrograms : public ::testing::TestWithParam<Case> {};

// Pieces of every length up to the chunk: both branches of each If, rings that wrap within and between pieces.
TEST_P(CompiledPrograms, GiveTheLogitsOfAnotherEngine) {
  const Case& c = GetParam();
  SKIP_WITHOUT_SHARED(std::string("vectors/") + c.folder);
  const Reference reference = load_reference(c.folder, c.name);
  const program::Program program = testing::compile_model(reference.gguf, c.options);
  GenericRun run(program);
  const std::span<const int32_t> tokens = reference.tokens;
  size_t at = 0;
  for (size_t n : {5, 1, 4, 5, 2, 5, 5, 1, 1, 5, 3, 5, 5, 1}) {
    const std::vector<float> got = run.step(tokens.subspan(at, n));
    at += n;
    const auto want = std::span(reference.logits).subspan((at - 1) * reference.vocab(), reference.vocab());
    EXPECT_LT(relative_error(got, want), c.tolerance) << "after " << at << " tokens";
    EXPECT_EQ(argmaxes(got, reference.vocab()), argmaxes(want, reference.vocab())) << "after " << at << " tokens";
  }
  EXPECT_EQ(at, tokens.size());
}

compile::CompileOptions options(DType dtype, std::optional<DType> kv_dtype = {}) {
  return {.dtype = dtype, .kv_dtype = kv_dtype, .max_seq_len = 48, .prefill_chunk = 5};
}

INSTANTIATE_TEST_SUITE_P(Tiny, CompiledPrograms,
                         ::testing::Values(Case{"gemma4-tiny", "tiny-q4km", options(DType::kF32), 1e-4},
                                           Case{"gemma4-tiny", "tiny-q6k", options(DType::kF32), 1e-4},
                                           Case{"gemma4-tiny-sharedkv", "tiny-q4km", options(DType::kF32), 1e-4},
                                           Case{"gemma4-tiny", "tiny-q4km", options(DType::kBF16), 4e-2},
                                           Case{"gemma4-tiny", "tiny-q4km", options(DType::kF16), 4e-2},
                                           Case{"gemma4-tiny", "tiny-q4km", options(DType::kBF16, DType::kF16), 4e-2},
                                           Case{"gemma4-tiny-sharedkv", "tiny-q4km", options(DType::kF32, DType::kBF16),
                                                4e-2}));

// A pass changes how a program is written, not what it computes.
TEST(CompiledPrograms, PassesPreserveTheLogits) {
  SKIP_WITHOUT_SHARED("vectors/gemma4-tiny");
  const Reference reference = load_reference("gemma4-tiny", "tiny-q4km");
  const std::span<const int32_t> tokens = std::span(reference.tokens).first(5);
  const program::Program all = testing::compile_model(reference.gguf, options(DType::kF32));
  const std::vector<float> want = GenericRun(all).step(tokens);
  for (const char* pass : {"fold_scales", "common_subexpressions", "dead_code"}) {
    auto without = options(DType::kF32);
    without.disabled_passes = {pass};
    const program::Program program = testing::compile_model(reference.gguf, without);
    EXPECT_EQ(GenericRun(program).step(tokens), want) << pass;
  }
}

}  // namespace
}  // namespace tessera
