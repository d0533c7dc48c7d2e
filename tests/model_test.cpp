// Whole models against logits of another engine: from GGUF and from the .pte, in every arithmetic, however the prompt
// is cut, on any number of threads, with fusions on and off.
#include "model_testing.h"
#include "program/pte_loader.h"
#include "program/pte_writer.h"

namespace tessera {
namespace {

using namespace testing;  // NOLINT: the test helpers

struct Subject {
  const char* folder;
  const char* name;
};
void PrintTo(const Subject& s, std::ostream* out) { *out << s.folder << "/" << s.name; }

class Models : public ::testing::TestWithParam<Subject> {
 protected:
  void SetUp() override {
    SKIP_WITHOUT_SHARED(std::string("vectors/") + GetParam().folder);
    reference_ = load_reference(GetParam().folder, GetParam().name);
  }
  // All logits in one go: `dtype` program, int8 or exact.
  std::vector<float> logits(DType dtype, bool exact, int threads = 2, size_t chunk = 1000) {
    auto model = make_model(compile_model(reference_.gguf, {.dtype = dtype}),
                            {.n_threads = threads, .exact = exact, .all_logits = true});
    return run_tokens(*make_session(model), reference_.tokens, chunk);
  }
  void expect_close(const std::vector<float>& got, double tolerance) {
    EXPECT_LT(relative_error(got, reference_.logits), tolerance);
    EXPECT_EQ(argmaxes(got, reference_.vocab()), argmaxes(reference_.logits, reference_.vocab()));
  }
  Reference reference_;
};

INSTANTIATE_TEST_SUITE_P(Tiny, Models,
                         ::testing::Values(Subject{"gemma4-tiny", "tiny-q4km"}, Subject{"gemma4-tiny", "tiny-q6k"},
                                           Subject{"gemma4-tiny-sharedkv", "tiny-q4km"}));

TEST_P(Models, ExactArithmeticAgreesWithin1e4) { expect_close(logits(DType::kF32, true), 1e-4); }
TEST_P(Models, Int8ActivationsAgreeWithin3e2) { expect_close(logits(DType::kF32, false), 3e-2); }
TEST_P(Models, Bf16ProgramsAgreeWithin4e2) { expect_close(logits(DType::kBF16, false), 4e-2); }
TEST_P(Models, F16ProgramsAgreeWithin3e2) { expect_close(logits(DType::kF16, false), 3e-2); }

TEST_P(Models, TheCutOfThePromptDoesNotChangeABit) {
  for (bool exact : {false, true}) {
    const auto want = logits(DType::kF32, exact);
    for (size_t chunk : {1, 2, 5, 16, 33}) EXPECT_EQ(want, logits(DType::kF32, exact, 2, chunk)) << "chunk " << chunk;
  }
}

TEST_P(Models, TheNumberOfThreadsDoesNotChangeABit) {
  const auto want = logits(DType::kF32, false, 1);
  EXPECT_EQ(want, logits(DType::kF32, false, 2));
  EXPECT_EQ(want, logits(DType::kF32, false, 3));
}

TEST_P(Models, ThePteGivesTheBitsOfTheGguf) {
  TempDir dir;
  for (DType dtype : {DType::kF32, DType::kBF16}) {
    const std::string path = dir.file("model.pte");
    const Status written = program::write_pte(compile_model(reference_.gguf, {.dtype = dtype}), path);
    ASSERT_TRUE(written) << written.error().message;
    auto loaded = program::load_pte(path);
    ASSERT_TRUE(loaded) << loaded.error().message;
    auto model = make_model(std::move(*loaded), {.n_threads = 2, .all_logits = true});
    EXPECT_EQ(run_tokens(*make_session(model), reference_.tokens, 1000), logits(dtype, false));
  }
}

TEST_P(Models, WithoutHintsAndFusionsTheInstructionsGiveTheSameNumbers) {
  auto program = compile_model(reference_.gguf, {.dtype = DType::kF32, .max_seq_len = 64, .prefill_chunk = 24});
  program.data.erase("tessera.hints");
  auto model = make_model(std::move(program), {.n_threads = 2, .exact = true, .disabled_fusions = {"all"}});
  // The last row of each piece: prefill chunks, then single tokens (both branches of every If).
  auto session = make_session(model);
  const std::span<const int32_t> tokens = reference_.tokens;
  const size_t vocab = reference_.vocab();
  size_t at = 0;
  for (size_t n : {20, 1, 12, 1, 1}) {
    const auto row = session->step(tokens.subspan(at, n));
    ASSERT_TRUE(row) << row.error().message;
    at += n;
    const auto want = std::span(reference_.logits).subspan((at - 1) * vocab, vocab);
    EXPECT_LT(relative_error(*row, want), 1e-4) << "after " << at << " tokens";
  }
}

TEST_P(Models, EveryFusionAloneCanBeSwitchedOff) {
  const auto want = logits(DType::kF32, true);
  const size_t vocab = reference_.vocab();
  for (const char* fusion : {"attention", "embedding", "geglu", "residual", "norm", "soft_cap"}) {
    auto model = make_model(compile_model(reference_.gguf, {.dtype = DType::kF32, .max_seq_len = 64}),
                            {.n_threads = 2, .exact = true, .disabled_fusions = {fusion}});
    auto session = make_session(model);
    const auto row = session->step(reference_.tokens);
    ASSERT_TRUE(row) << fusion << ": " << row.error().message;
    EXPECT_LT(relative_error(*row, std::span(want).last(vocab)), 2e-5) << fusion;
  }
}

TEST_P(Models, SessionsOverOneModelDoNotSeeEachOther) {
  auto model = make_model(compile_model(reference_.gguf, {.dtype = DType::kF32}), {.n_threads = 2});
  const std::vector<int32_t>& a = reference_.tokens;
  const std::vector<int32_t> b(a.rbegin(), a.rend());
  const auto alone_a = run_tokens(*make_session(model), a, 1);
  const auto alone_b = run_tokens(*make_session(model), b, 1);
  EXPECT_NE(alone_a, alone_b);
  auto session_a = make_session(model);
  auto session_b = make_session(model);
  std::vector<float> mixed_a, mixed_b;
  for (size_t i = 0; i < a.size(); ++i) {
    const auto la = session_a->step(std::span(a).subspan(i, 1));
    mixed_a.insert(mixed_a.end(), la->begin(), la->end());
    const auto lb = session_b->step(std::span(b).subspan(i, 1));
    mixed_b.insert(mixed_b.end(), lb->begin(), lb->end());
  }
  EXPECT_EQ(mixed_a, alone_a);
  EXPECT_EQ(mixed_b, alone_b);
  session_a->reset();
  EXPECT_EQ(run_tokens(*session_a, b, 7).size(), (b.size() + 6) / 7 * reference_.vocab());
  session_a->reset();
  EXPECT_EQ(run_tokens(*session_a, a, 1), alone_a) << "a reset session is a new one";
}

TEST_P(Models, SessionsMayStepFromDifferentThreads) {
  auto model = make_model(compile_model(reference_.gguf, {.dtype = DType::kF32}), {.n_threads = 2});
  const auto want = run_tokens(*make_session(model), reference_.tokens, 3);
  std::vector<std::vector<float>> got(3);
  std::vector<std::thread> threads;
  for (auto& out : got) threads.emplace_back([&] { out = run_tokens(*make_session(model), reference_.tokens, 3); });
  for (auto& thread : threads) thread.join();
  for (const auto& out : got) EXPECT_EQ(out, want);
}

TEST_P(Models, ErrorsOfAStepAreClear) {
  auto model = make_model(compile_model(reference_.gguf, {.dtype = DType::kF32, .max_seq_len = 32}), {.n_threads = 1});
  auto session = make_session(model);
  EXPECT_FALSE(session->step({}));
  const std::vector<int32_t> bad = {0, 1 << 20};
  const auto outside = session->step(bad);
  ASSERT_FALSE(outside);
  EXPECT_NE(outside.error().message.find("1048576"), std::string::npos) << outside.error().message;
  const auto too_long = session->step(reference_.tokens);  // 48 tokens
  ASSERT_FALSE(too_long);
  EXPECT_NE(too_long.error().message.find("context of 32"), std::string::npos) << too_long.error().message;
  EXPECT_TRUE(session->step(std::span(reference_.tokens).first(32)));
  EXPECT_FALSE(session->step(std::span(reference_.tokens).first(1)));
}

}  // namespace
}  // namespace tessera
