// Programs in the framework's affine form (--lowering mlx) run by fused steps: against the interpreter's instructions,
// however the prompt is cut, on any number of threads.
#include "model_testing.h"
#include "runtime/device/device_model.h"

namespace tessera {
namespace {

using namespace testing;  // NOLINT: the test helpers

// What the matrices of the model are before they become affine groups. Formats without offsets leave their biases to
// the init chain; Q4_K keeps a Q6_K embedding and head, which stay in blocks.
class AffineModels : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    SKIP_WITHOUT_SHARED("vectors/gemma4-tiny");
    reference_ = load_reference("gemma4-tiny", "tiny-q4km");
    gguf_ = reference_.gguf;
    if (GetParam() == std::string("Q4_K_M")) return;
    gguf_ = dir_.file("model.gguf");
    rewrite_matrices(reference_.gguf, gguf_, *quant::find_format(GetParam()));
  }
  program::Program compiled(DType dtype) {
    return compile_model(gguf_, {.dtype = dtype,
                                 .max_seq_len = 64,
                                 .prefill_chunk = 24,
                                 .lowering = compile::LoweringKind::kAffine,
                                 .unknown_formats = compile::UnknownFormats::kDequantize});
  }
  // The last row of each piece: a few tokens, then single ones. (The interpreter is slow.)
  std::vector<float> rows(DType dtype, runtime::ModelOptions options) {
    const auto session = make_session(make_model(compiled(dtype), options));
    const std::span<const int32_t> tokens = reference_.tokens;
    std::vector<float> out;
    size_t at = 0;
    for (size_t n : {3, 1, 1}) {
      const auto row = session->step(tokens.subspan(at, n));
      EXPECT_TRUE(row) << row.error().message;
      if (!row) return {};
      out.insert(out.end(), row->begin(), row->end());
      at += n;
    }
    return out;
  }
  // Every instruction as it is.
  std::vector<float> interpreted(DType dtype) { return rows(dtype, {.n_threads = 2, .disabled_fusions = {"all"}}); }

  TempDir dir_;
  Reference reference_;
  std::string gguf_;
};

INSTANTIATE_TEST_SUITE_P(Formats, AffineModels,
                         ::testing::Values("Q4_K_M", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q5_K"));

TEST_P(AffineModels, NoProductIsLeftToTheInterpreter) {
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    const auto model = make_model(compiled(dtype), {.n_threads = 1});
    int linears = 0;
    for (const runtime::StepPtr& step : model->plan().steps()) {
      EXPECT_NE(step->kind(), "QuantizedMatmul");
      EXPECT_NE(step->kind(), "RMSNorm");  // an init chain keeps nothing else from being fused
      linears += step->kind() == "linear" || step->kind() == "gate and up" || step->kind() == "head";
    }
    EXPECT_GT(linears, 0);
    EXPECT_GT(model->weight_bytes_per_token(), 0);
  }
}

// What the first weight is depends on the embedding: where that is affine, too, its Take is the first to be refused.
TEST_P(AffineModels, HaveNoCudaKernels) {
  const auto device = runtime::DeviceModel::create(make_model(compiled(DType::kF32), {.n_threads = 1}), nullptr);
  ASSERT_FALSE(device);
  EXPECT_EQ(device.error().code, ErrorCode::kNotImplemented);
  const char* expected = GetParam() == std::string("Q4_K_M") ? "is made of affine groups" : "instruction Take";
  EXPECT_NE(device.error().message.find(expected), std::string::npos) << device.error().message;
}

TEST_P(AffineModels, GiveTheNumbersOfTheInstructions) {
  const auto want = interpreted(DType::kF32);
  const auto exact = rows(DType::kF32, {.n_threads = 2, .exact = true});
  const auto int8 = rows(DType::kF32, {.n_threads = 2});
  EXPECT_LT(relative_error(exact, want), 2e-5);
  EXPECT_LT(relative_error(int8, want), 3e-2);
  EXPECT_NE(int8, exact);
  for (const DType dtype : {DType::kBF16, DType::kF16}) {
    EXPECT_LT(relative_error(rows(dtype, {.n_threads = 2, .exact = true}), want), 4e-2);
    EXPECT_LT(relative_error(rows(dtype, {.n_threads = 2}), want), 5e-2);
  }
}

TEST_P(AffineModels, CutsAndThreadsDoNotChangeABit) {
  const size_t vocab = reference_.vocab();
  for (const bool exact : {false, true}) {
    const auto run = [&](int threads, size_t chunk) {
      const auto model = make_model(compiled(DType::kBF16), {.n_threads = threads, .exact = exact, .all_logits = true});
      return run_tokens(*make_session(model), reference_.tokens, chunk);
    };
    const auto want = run(2, 24);
    ASSERT_EQ(want.size(), reference_.tokens.size() * vocab);
    EXPECT_EQ(want, run(1, 24));
    for (const size_t chunk : {1, 5, 17}) EXPECT_EQ(want, run(1, chunk)) << "chunk " << chunk;
  }
}

}  // namespace
}  // namespace tessera
