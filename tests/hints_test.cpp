// Hints are claims of whoever wrote a file: wrong ones may cost speed or give an error, never memory safety, and hints
// that contradict the instructions' data flow are not followed.
#include "program/hints.h"
#include "compile/synth.h"
#include "model_testing.h"

namespace tessera {
namespace {

using namespace testing;  // NOLINT: the test helpers
using program::Hints;

class HintedProgram : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string path = dir_.file("model.gguf");
    compile::SynthShape shape;
    shape.layers = 3;
    shape.period = 3;
    const Status written = compile::synth_model(path, shape, {.type = "q4_0", .n_threads = 1});
    ASSERT_TRUE(written) << written.error().message;
    set_program(compile_model(path, options()));
  }
  static compile::CompileOptions options() { return {.dtype = DType::kF32, .max_seq_len = 64, .prefill_chunk = 16}; }
  void set_program(program::Program program) {
    program_ = std::move(program);
    hints_ = *program::decode_hints(program_.find_data(program::kHintsKey)->bytes);
    ASSERT_EQ(hints_.attention.size(), 3u);
  }
  program::Program with(const Hints& hints) const {
    program::Program out = program_;
    out.data[std::string(program::kHintsKey)] = program::Data::own(program::encode(hints));
    return out;
  }
  // The program with other instructions in front, which its hints make room for.
  program::Program beginning_with(const program::Chain& nodes) const {
    program::Program out = program_;
    program::Chain& main = out.chains[out.main_chain];
    main.insert(main.begin(), nodes.begin(), nodes.end());
    const auto n = static_cast<uint32_t>(nodes.size());
    Hints hints = hints_;
    for (auto& h : hints.attention) {
      h.begin += n;
      h.end += n;
    }
    if (hints.last_token_take) *hints.last_token_take += n;
    out.data[std::string(program::kHintsKey)] = program::Data::own(program::encode(hints));
    return out;
  }
  // Logits after a few tokens, or nothing where an error said no.
  static std::vector<float> run(program::Program program) {
    auto model = runtime::Model::create(std::move(program), {.n_threads = 1, .exact = true});
    if (!model) return {};
    auto session = make_session(*model);
    const std::vector<int32_t> tokens = {2, 300, 301, 302, 303};
    const auto logits = session->step(tokens);
    if (!logits) return {};
    return {logits->begin(), logits->end()};
  }

  TempDir dir_;
  program::Program program_;
  Hints hints_;
};

TEST_F(HintedProgram, RunsTheSameWithAndWithout) {
  const auto hinted = run(program_);
  const auto bare = run(with({}));
  ASSERT_FALSE(hinted.empty());
  EXPECT_LT(relative_error(hinted, bare), 1e-5);
}

TEST_F(HintedProgram, ARangeThatIsReadFromOutsideIsNotFollowed) {
  const auto bare = run(with({}));
  Hints hints = hints_;
  hints.attention[0].end += 4;                              // swallows the output projection, which later layers read
  EXPECT_LT(relative_error(run(with(hints)), bare), 1e-5);  // by the instructions alone: other roundings
}

TEST_F(HintedProgram, WrongHintsNeverCrash) {
  auto rng = fresh_rng();
  const auto random = [&](auto& field) {
    const uint64_t choices[] = {0, 1, 7, 100, 0x7fffffff, 0xffffffff, rng() % 64, rng() % 1024};
    field = static_cast<std::remove_reference_t<decltype(field)>>(choices[rng() % 8]);
  };
  for (int i = 0; i < 300; ++i) {
    Hints hints = hints_;
    auto& h = hints.attention[rng() % hints.attention.size()];
    switch (rng() % 16) {
      case 0:
        random(h.begin);
        break;
      case 1:
        random(h.end);
        break;
      case 2:
        random(h.q.idx);
        break;
      case 3:
        random(h.k->idx);
        break;
      case 4:
        random(h.v->idx);
        break;
      case 5:
        random(h.q_norm.idx);
        break;
      case 6:
        random(h.k_norm->idx);
        break;
      case 7:
        random(h.k_cache.idx);
        break;
      case 8:
        random(h.v_cache.idx);
        break;
      case 9:
        random(h.out.idx);
        break;
      case 10:
        random(h.start.idx);
        break;
      case 11:
        random(h.n_heads);
        break;
      case 12:
        random(h.n_kv_heads);
        break;
      case 13:
        random(h.head_dim);
        break;
      case 14:
        random(h.window);
        break;
      default:
        hints.last_token_take = static_cast<uint32_t>(rng() % 400);
        break;
    }
    run(with(hints));  // a result or an error
  }
}

TEST_F(HintedProgram, WrongHintsOfACompressedCacheNeverCrash) {
  auto compressed = options();
  compressed.turboquant = true;
  set_program(compile_model(dir_.file("model.gguf"), compressed));
  const auto bare = run(with({}));
  ASSERT_TRUE(hints_.attention[2].compressed);
  EXPECT_LT(relative_error(run(program_), bare), 1e-2);  // a value next to a boundary may take another level
  auto rng = fresh_rng();
  const uint32_t choices[] = {0, 1, 7, 100, 0x7fffffff, 0xffffffff};
  for (int i = 0; i < 200; ++i) {
    Hints hints = hints_;
    auto& h = hints.attention[2];
    auto& c = *h.compressed;
    program::Tid* const slots[] = {&c.k_norms,   &c.v_norms, &c.rotation, &c.boundaries,
                                   &c.centroids, &h.k_cache, &h.v_cache};
    const uint64_t which = rng() % 10;
    if (which < std::size(slots))
      slots[which]->idx = i % 2 == 0 ? choices[rng() % 6] : static_cast<uint32_t>(rng() % program_.n_tensors());
    else if (which == 7)
      h.head_dim = 64 << rng() % 4;
    else if (which == 8)
      h.window = 1 + static_cast<int32_t>(rng() % 64);
    else
      h.compressed.reset();
    run(with(hints));  // a result or an error
  }
}

// Another orthogonal matrix than ours: nothing here knows its structure, and the instructions multiply by it.
TEST_F(HintedProgram, AnotherRotationIsComputedByTheInstructions) {
  auto compressed = options();
  compressed.turboquant = true;
  set_program(compile_model(dir_.file("model.gguf"), compressed));
  const auto ours = run(program_);
  const int64_t d = hints_.attention[2].head_dim;
  std::vector<float> identity(static_cast<size_t>(d * d), 0.0f);
  for (int64_t i = 0; i < d; ++i) identity[static_cast<size_t>(i * d + i)] = 1;
  const auto bytes = std::as_bytes(std::span(identity));
  program_.data[std::string(program_.name_of(hints_.attention[2].compressed->rotation))] =
      program::Data::own({bytes.begin(), bytes.end()});
  const auto unrotated = run(program_);
  ASSERT_FALSE(unrotated.empty());
  EXPECT_NE(unrotated, ours);
  EXPECT_LT(relative_error(unrotated, run(with({}))), 1e-5);
  EXPECT_LT(relative_error(unrotated, ours), 0.2);
}

// Metadata is what a buffer begins as; instructions may put something else there.
TEST_F(HintedProgram, WhatIsInACacheIsLookedAt) {
  const program::Tid cache = hints_.attention[0].k_cache;
  const auto error_of = [&](const program::RequiredVector<program::IntOrVid>& shape, DType dtype) {
    auto session =
        make_session(make_model(beginning_with({program::Full{{cache}, shape, 0.0, dtype}}), {.n_threads = 1}));
    const auto logits = session->step(std::vector<int32_t>{2, 300});
    return logits ? std::string() : logits.error().message;
  };
  program::RequiredVector<program::IntOrVid> shape;
  for (const program::ShapeDim& dim : program_.tensor_meta[cache.idx].shape) shape.push_back(dim.value);
  EXPECT_EQ(error_of(shape, DType::kF32), "");
  EXPECT_NE(error_of({1}, DType::kF32).find("holds f32 [1], expected"), std::string::npos);
  EXPECT_NE(error_of(shape, DType::kF16).find("holds f16"), std::string::npos);
}

// Keys and values in the same bytes at first: writing the ones must not change the others.
TEST_F(HintedProgram, ACacheThatSharesItsBytesIsCopied) {
  const auto& h = hints_.attention[0];
  set_program(beginning_with({program::IdCopy{h.k_cache, {h.v_cache}}}));
  const auto hinted = run(program_);
  ASSERT_FALSE(hinted.empty());
  EXPECT_LT(relative_error(hinted, run(with({}))), 1e-5);
}

TEST_F(HintedProgram, DamagedHintsAreAnError) {
  program::Program program = program_;
  program.data[std::string(program::kHintsKey)] = program::Data::own(std::vector<std::byte>(40, std::byte{0x5a}));
  auto model = runtime::Model::create(std::move(program), {.n_threads = 1});
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, ErrorCode::kInvalidFormat);
}

}  // namespace
}  // namespace tessera
