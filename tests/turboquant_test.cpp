// Programs with compressed caches: what they compute beside the same programs without, by the instructions and by the
// planner's fused step, and what they hold.
#include "compile/synth.h"
#include "model_testing.h"
#include "program/pte_loader.h"
#include "program/pte_writer.h"
#include "quant/tq4.h"

namespace tessera {
namespace {

using namespace testing;  // NOLINT: the test helpers

double cosine(std::span<const float> a, std::span<const float> b) {
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    ab += double{a[i]} * b[i];
    aa += double{a[i]} * a[i];
    bb += double{b[i]} * b[i];
  }
  return a.size() == b.size() ? ab / std::sqrt(aa * bb) : -1;
}

struct Subject {
  const char* folder;
  const char* name;
};
void PrintTo(const Subject& s, std::ostream* out) { *out << s.folder << "/" << s.name; }

class TurboQuant : public ::testing::TestWithParam<Subject> {
 protected:
  void SetUp() override {
    SKIP_WITHOUT_SHARED(std::string("vectors/") + GetParam().folder);
    reference_ = load_reference(GetParam().folder, GetParam().name);
  }
  static compile::CompileOptions options(DType dtype, bool turboquant = true) {
    return {.dtype = dtype, .max_seq_len = 48, .turboquant = turboquant};
  }
  std::shared_ptr<const runtime::Model> model(DType dtype, bool turboquant = true, runtime::ModelOptions run = {}) {
    run.all_logits = true;
    if (run.n_threads == 0) run.n_threads = 2;
    return make_model(compile_model(reference_.gguf, options(dtype, turboquant)), run);
  }
  std::vector<float> logits(DType dtype, bool turboquant = true, size_t chunk = 1000, runtime::ModelOptions run = {}) {
    return run_tokens(*make_session(model(dtype, turboquant, run)), reference_.tokens, chunk);
  }
  Reference reference_;
};

INSTANTIATE_TEST_SUITE_P(Tiny, TurboQuant,
                         ::testing::Values(Subject{"gemma4-tiny", "tiny-q4km"}, Subject{"gemma4-tiny", "tiny-q6k"},
                                           Subject{"gemma4-tiny-sharedkv", "tiny-q4km"}));

// The thresholds are those ExecuTorch's tests of a tiny model have.
TEST_P(TurboQuant, LogitsKeepTheirDirection) {
  for (DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    const auto compressed = logits(dtype), plain = logits(dtype, false);
    EXPECT_NE(compressed, plain);
    EXPECT_GT(cosine(compressed, plain), 0.99) << name_of(dtype);
    EXPECT_GT(cosine(compressed, reference_.logits), 0.98) << name_of(dtype);
  }
}

TEST_P(TurboQuant, TheCutOfThePromptDoesNotChangeABit) {
  const auto want = logits(DType::kF32);
  for (size_t chunk : {1, 2, 5, 16, 33}) EXPECT_EQ(want, logits(DType::kF32, true, chunk)) << "chunk " << chunk;
  EXPECT_EQ(want, logits(DType::kF32, true, 1000, {.n_threads = 1}));
  EXPECT_EQ(want, logits(DType::kF32, true, 1000, {.n_threads = 3}));
}

// A value next to a boundary may take the other level after another rounding, which moves a logit by far less than the
// compression itself does.
TEST_P(TurboQuant, TheInstructionsGiveTheNumbersOfTheFusedStep) {
  const auto fused = logits(DType::kF32, true, 7, {.exact = true});
  const auto by_instruction = logits(DType::kF32, true, 7, {.exact = true, .disabled_fusions = {"attention"}});
  const double lost = relative_error(fused, logits(DType::kF32, false, 7, {.exact = true}));
  EXPECT_GT(lost, 1e-3);
  EXPECT_LT(relative_error(by_instruction, fused), 0.1 * lost);
}

TEST_P(TurboQuant, ASessionIsResetAndSharesNothing) {
  const auto m = model(DType::kF32);
  const std::vector<int32_t>& a = reference_.tokens;
  const std::vector<int32_t> b(a.rbegin(), a.rend());
  const auto alone_a = run_tokens(*make_session(m), a, 1), alone_b = run_tokens(*make_session(m), b, 1);
  EXPECT_NE(alone_a, alone_b);
  auto first = make_session(m), second = make_session(m);
  std::vector<float> mixed_a, mixed_b;
  for (size_t i = 0; i < a.size(); ++i) {
    const auto x = run_tokens(*first, std::span(a).subspan(i, 1), 1),
               y = run_tokens(*second, std::span(b).subspan(i, 1), 1);
    mixed_a.insert(mixed_a.end(), x.begin(), x.end());
    mixed_b.insert(mixed_b.end(), y.begin(), y.end());
  }
  EXPECT_EQ(mixed_a, alone_a);
  EXPECT_EQ(mixed_b, alone_b);
  first->reset();
  EXPECT_EQ(run_tokens(*first, b, 3), alone_b);
}

TEST_P(TurboQuant, ThePteGivesTheBitsOfTheGguf) {
  TempDir dir;
  for (DType dtype : {DType::kF32, DType::kBF16}) {
    const std::string path = dir.file("model.pte"), again = dir.file("again.pte");
    ASSERT_TRUE(program::write_pte(compile_model(reference_.gguf, options(dtype)), path));
    ASSERT_TRUE(program::write_pte(compile_model(reference_.gguf, options(dtype)), again));
    EXPECT_EQ(read_file(path), read_file(again));
    auto loaded = program::load_pte(path);
    ASSERT_TRUE(loaded) << loaded.error().message;
    auto from_file = make_model(std::move(*loaded), {.n_threads = 2, .all_logits = true});
    EXPECT_EQ(run_tokens(*make_session(from_file), reference_.tokens, 1000), logits(dtype));
  }
}

// A synthetic model with every head size, sliding and full.
class TurboQuantShapes : public ::testing::Test {
 protected:
  static compile::SynthShape shape(int64_t head_dim_full) {
    compile::SynthShape shape;
    shape.layers = 2;
    shape.period = 2;
    shape.head_dim_full = head_dim_full;
    shape.kv_heads_full = 2;
    return shape;
  }
  Result<program::Program> compile(const compile::SynthShape& shape, bool turboquant = true) {
    const std::string path = dir_.file("model.gguf");
    const Status written = compile::synth_model(path, shape, {.type = "q4_0", .n_threads = 1});
    EXPECT_TRUE(written) << written.error().message;
    return compile::compile_gguf(
        *gguf::File::open(path),
        {.dtype = DType::kBF16, .max_seq_len = 64, .prefill_chunk = 16, .turboquant = turboquant});
  }
  TempDir dir_;
};

int64_t cache_bytes(program::Program program) {
  return make_model(std::move(program), {.n_threads = 1})->cache_bytes();
}

TEST_F(TurboQuantShapes, CachesTakeTheDocumentedBytes) {
  for (int64_t head_dim : {64, 128, 256, 512}) {
    const compile::SynthShape s = shape(head_dim);
    const int64_t vectors = 2 * s.kv_heads_full * 64;  // keys and values of the one full layer
    const int64_t sliding = 2 * s.kv_heads * (s.window + 15) * s.head_dim * 2;
    EXPECT_EQ(cache_bytes(*compile(s)), sliding + vectors * quant::tq4_bytes(head_dim));
    EXPECT_EQ(cache_bytes(*compile(s, false)), sliding + vectors * 2 * head_dim);
  }
}

TEST_F(TurboQuantShapes, EveryHeadSizeRuns) {
  const std::vector<int32_t> tokens = {2, 300, 301, 302, 303, 17, 18, 19, 20, 21, 22};
  for (int64_t head_dim : {64, 128, 256, 512}) {
    std::vector<float> rows[2];
    for (const bool turboquant : {false, true}) {
      auto program = compile(shape(head_dim), turboquant);
      ASSERT_TRUE(program) << program.error().message;
      auto model = make_model(std::move(*program), {.n_threads = 2, .all_logits = true});
      rows[turboquant] = run_tokens(*make_session(model), tokens, 4);
    }
    EXPECT_NE(rows[0], rows[1]);
    EXPECT_GT(cosine(rows[0], rows[1]), 0.98) << head_dim;
  }
}

TEST_F(TurboQuantShapes, WhatCannotBeCompressedIsRefused) {
  compile::SynthShape odd = shape(96);
  const auto unsupported = compile(odd);
  ASSERT_FALSE(unsupported);
  EXPECT_EQ(unsupported.error().code, ErrorCode::kNotImplemented);
  EXPECT_NE(unsupported.error().message.find("power of two from 64 to 1024 values: blk.1 (head_dim 96)"),
            std::string::npos)
      << unsupported.error().message;
  EXPECT_TRUE(compile(odd, false));
}

}  // namespace
}  // namespace tessera
