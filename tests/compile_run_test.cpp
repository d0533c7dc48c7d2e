// The proof of lowering: a compiled program executed instruction by instruction by the generic interpreter - no
// planner, no hints, no fused step - gives the logits another engine computed.
#include <numeric>

#include "model_testing.h"
#include "program/pte_loader.h"
#include "program/pte_writer.h"
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
    if (program.init_chain < 0) return;
    runtime::ExecutionContext context{.program = program_, .slots = slots_, .init_chain = true};
    const Status status = runtime::execute_chain(static_cast<uint32_t>(program.init_chain), context);
    EXPECT_TRUE(status) << status.error().message;
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
  const program::Program program = compile_model(reference.gguf, c.options);
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

compile::CompileOptions affine(DType dtype) {
  auto out = options(dtype);
  out.lowering = compile::LoweringKind::kAffine;
  out.unknown_formats = compile::UnknownFormats::kDequantize;
  return out;
}

INSTANTIATE_TEST_SUITE_P(Tiny, CompiledPrograms,
                         ::testing::Values(Case{"gemma4-tiny", "tiny-q4km", options(DType::kF32), 1e-4},
                                           Case{"gemma4-tiny", "tiny-q6k", options(DType::kF32), 1e-4},
                                           Case{"gemma4-tiny-sharedkv", "tiny-q4km", options(DType::kF32), 1e-4},
                                           Case{"gemma4-tiny", "tiny-q4km", options(DType::kBF16), 4e-2},
                                           Case{"gemma4-tiny", "tiny-q4km", options(DType::kF16), 4e-2},
                                           Case{"gemma4-tiny", "tiny-q4km", options(DType::kBF16, DType::kF16), 4e-2},
                                           Case{"gemma4-tiny-sharedkv", "tiny-q4km", options(DType::kF32, DType::kBF16),
                                                4e-2},
                                           Case{"gemma4-tiny", "tiny-q4km", affine(DType::kF32), 1e-4},
                                           Case{"gemma4-tiny-sharedkv", "tiny-q4km", affine(DType::kF32), 1e-4},
                                           Case{"gemma4-tiny", "tiny-q4km", affine(DType::kBF16), 4e-2},
                                           Case{"gemma4-tiny", "tiny-q6k", affine(DType::kF32), 1e-4}));

// Formats that are plain numbers, and one whose kernels ExecuTorch does not have.
TEST(CompiledPrograms, OtherFormatsOfTheSameWeightsAgree) {
  SKIP_WITHOUT_SHARED("vectors/gemma4-tiny");
  const Reference reference = load_reference("gemma4-tiny", "tiny-q4km");
  const std::span<const int32_t> tokens = std::span(reference.tokens).first(6);
  const auto want = std::span(reference.logits).subspan(5 * reference.vocab(), reference.vocab());
  struct Rewritten {
    const char* format;
    DType dtype;
    double tolerance;  // the format's rounding of weights, and the dtype's of activations
  };
  TempDir dir;
  for (const Rewritten& c :
       {Rewritten{"F32", DType::kF32, 1e-4}, Rewritten{"F16", DType::kF32, 5e-3}, Rewritten{"BF16", DType::kF32, 3e-2},
        Rewritten{"Q8_0", DType::kF32, 5e-2}, Rewritten{"F16", DType::kBF16, 5e-2}, Rewritten{"F32", DType::kF16, 5e-2},
        Rewritten{"BF16", DType::kBF16, 5e-2}}) {
    const std::string path = dir.file(std::string(c.format) + ".gguf");
    rewrite_matrices(reference.gguf, path, *quant::find_format(c.format));
    const program::Program program = compile_model(path, options(c.dtype));
    GenericRun run(program);
    run.step(tokens.first(5));
    const double error = relative_error(run.step(tokens.last(1)), want);
    EXPECT_LT(error, c.tolerance) << c.format << " weights, " << name_of(c.dtype) << " activations";
  }
}

// Blocks that ExecuTorch has no kernels for: as affine groups where the format has groups of 32, else as bf16. In f32
// the groups' numbers are the blocks'; bf16 rounds each weight.
TEST(CompiledPrograms, AffineGroupsGiveTheLogitsOfTheirBlocks) {
  SKIP_WITHOUT_SHARED("vectors/gemma4-tiny");
  const Reference reference = load_reference("gemma4-tiny", "tiny-q4km");
  const std::span<const int32_t> tokens = std::span(reference.tokens).first(5);
  TempDir dir;
  for (const char* format : {"Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q5_K"}) {
    const std::string path = dir.file(std::string(format) + ".gguf");
    rewrite_matrices(reference.gguf, path, *quant::find_format(format));
    const program::Program blocks = compile_model(path, options(DType::kF32));
    const program::Program groups = compile_model(path, affine(DType::kF32));
    EXPECT_EQ(groups.find_data("blk.0.ffn_up.weight"), nullptr) << format;
    EXPECT_NE(groups.find_data("blk.0.ffn_up.weight_packed"), nullptr) << format;
    EXPECT_LT(relative_error(GenericRun(groups).step(tokens), GenericRun(blocks).step(tokens)), 1e-5) << format;
  }
}

// The planner's way through a program of affine groups, from a file.
TEST(CompiledPrograms, AffineGroupsRunFromAFile) {
  SKIP_WITHOUT_SHARED("vectors/gemma4-tiny");
  const Reference reference = load_reference("gemma4-tiny", "tiny-q4km");
  const std::span<const int32_t> tokens = std::span(reference.tokens).first(12);
  TempDir dir;
  const auto compiled = compile::compile_gguf(*gguf::File::open(reference.gguf), affine(DType::kF32));
  ASSERT_TRUE(compiled) << compiled.error().message;
  const Status written = program::write_pte(*compiled, dir.file("a.pte"));
  ASSERT_TRUE(written) << written.error().message;
  auto loaded = program::load_pte(dir.file("a.pte"));
  ASSERT_TRUE(loaded) << loaded.error().message;
  const auto session = make_session(make_model(std::move(*loaded), {.n_threads = 1, .exact = true}));
  const auto want = std::span(reference.logits).subspan(11 * reference.vocab(), reference.vocab());
  const std::vector<float> got = run_tokens(*session, tokens, 5);
  EXPECT_LT(relative_error(std::span(got).last(reference.vocab()), want), 1e-4);
}

// A pass changes how a program is written, not what it computes.
TEST(CompiledPrograms, PassesPreserveTheLogits) {
  SKIP_WITHOUT_SHARED("vectors/gemma4-tiny");
  const Reference reference = load_reference("gemma4-tiny", "tiny-q4km");
  const std::span<const int32_t> tokens = std::span(reference.tokens).first(5);
  const program::Program all = compile_model(reference.gguf, options(DType::kF32));
  const std::vector<float> want = GenericRun(all).step(tokens);
  for (const char* pass : {"fold_scales", "common_subexpressions", "dead_code"}) {
    auto without = options(DType::kF32);
    without.disabled_passes = {pass};
    const program::Program program = compile_model(reference.gguf, without);
    EXPECT_EQ(GenericRun(program).step(tokens), want) << pass;
  }
}

}  // namespace
}  // namespace tessera
