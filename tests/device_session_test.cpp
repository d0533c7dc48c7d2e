// What sessions on a GPU promise besides the numbers: programs that do not fit the kernels are refused, room is known
// before it is needed, what fails leaves nothing behind, sessions take turns. Emulated, for the card must misbehave.
#include <gtest/gtest.h>

#include <cstdio>
#include <future>

#include "compile/synth.h"
#include "kernels/cuda/emulator/device.h"
#include "model_testing.h"
#include "program/hints.h"
#include "runtime/device/device_session.h"

namespace tessera::testing {
namespace {

using namespace kernels::cuda;  // the table that tests change
using program::Hints;
using program::Program;
using runtime::DeviceModel;
using runtime::DeviceSession;

// The hints of a program, changed.
template <typename F>
void change_hints(Program& program, const F& change) {
  Hints hints = *program::decode_hints(program.find_data(program::kHintsKey)->bytes);
  change(hints);
  program.data[std::string(program::kHintsKey)] = program::Data::own(program::encode(hints));
}

// Small enough for an emulator. One layer attends to a window, the other to everything.
constexpr compile::SynthShape kNarrow{.hidden = 64,
                                      .layers = 2,
                                      .heads = 2,
                                      .head_dim = 32,
                                      .head_dim_full = 32,
                                      .kv_heads = 1,
                                      .kv_heads_full = 1,
                                      .ffn = 128,
                                      .window = 32,
                                      .period = 2};

class EmulatedSession : public ::testing::Test {
 protected:
  static constexpr int64_t kChunk = 16, kContext = 64;

  Program make_program(const compile::SynthShape& shape, const std::string& type, int64_t context = kContext) {
    const std::string path = dir_.file("model.gguf");
    EXPECT_TRUE(compile::synth_model(path, shape, {.type = type, .seed = 7, .n_threads = 1}));
    return compile_model(path, {.dtype = DType::kF32, .max_seq_len = context, .prefill_chunk = kChunk});
  }
  Program make_program(const std::string& type = "q4_0") { return make_program(kNarrow, type); }
  static std::shared_ptr<const DeviceModel> load(std::shared_ptr<const runtime::Model> model,
                                                 const Api& api = emulated_api()) {
    auto device = DeviceModel::create(std::move(model), *Gpu::open(api, 0));
    EXPECT_TRUE(device) << device.error().message;
    return device ? *device : nullptr;
  }
  static std::unique_ptr<DeviceSession> open(const std::shared_ptr<const DeviceModel>& device) {
    auto session = DeviceSession::create(device);
    EXPECT_TRUE(session) << session.error().message;
    return session ? std::move(*session) : nullptr;
  }
  // What loading it says no with.
  static Error refusal(Program program, const runtime::ModelOptions& options = {}) {
    const auto refused = DeviceModel::create(make_model(std::move(program), options), *Gpu::open(emulated_api(), 0));
    EXPECT_FALSE(refused);
    return refused ? Error{} : refused.error();
  }

  TempDir dir_;
};

// ---- what is refused -----------------------------------------------------------------------------------------------

// Window 32 and steps of 16 need the 47 slots there are; a wider window, or a flat cache of as many, would need more.
TEST_F(EmulatedSession, ACacheTooSmallForItsSteps) {
  const Program program = make_program();
  ASSERT_TRUE(load(make_model(program, {})));
  for (const int32_t window : {33, 0}) {
    Program changed = program;
    change_hints(changed, [&](Hints& hints) { hints.attention[0].window = window; });
    const Error error = refusal(changed);
    EXPECT_EQ(error.code, ErrorCode::kNotImplemented);
    EXPECT_NE(error.message.find("a cache of 47 slots"), std::string::npos) << error.message;
    if (window > 0) {
      EXPECT_TRUE(load(make_model(changed, {.max_chunk = kChunk - 1})));
    }
  }
}

TEST_F(EmulatedSession, KeysOfTheLastTokenOnly) {
  Program program = make_program();
  change_hints(program, [&](Hints& hints) {
    program::AttentionHint& first = hints.attention[0];
    const program::Take take{.x = *first.k, .out = {{*first.k}}, .index = -1, .axis = 1};
    program::Chain& chain = program.chains[program.main_chain];
    chain.insert(chain.begin() + first.begin, take);
    for (program::AttentionHint& hint : hints.attention) ++hint.begin, ++hint.end;
    ++*hints.last_token_take;
  });
  const Error error = refusal(program);
  EXPECT_NE(error.message.find("shapes of their heads"), std::string::npos) << error.message;
}

// The hint says to skip another Take than the one before the head: the embedding's, which a step stands for anyway.
TEST_F(EmulatedSession, LogitsOfTheLastTokenOnlyWhereAllAreWanted) {
  Program program = make_program("f16");
  const program::Chain& chain = program.chains[program.main_chain];
  change_hints(program, [&](Hints& hints) {
    for (uint32_t i = 0; i < chain.size(); ++i) {
      const auto* take = std::get_if<program::Take>(&chain[i]);
      if (take && program.kind_of(take->x) == program::TensorKind::kConstant) hints.last_token_take = i;
    }
  });
  const Error error = refusal(program, {.all_logits = true});
  EXPECT_NE(error.message.find("logits of 1 of a step's 16 tokens"), std::string::npos) << error.message;
}

// Five contents of one slot, each alive in a view, that are all read at the end.
TEST_F(EmulatedSession, MoreContentsOfASlotThanItHasPlaces) {
  Program program = make_program();
  program::Chain& chain = program.chains[program.main_chain];
  const Hints hints = *program::decode_hints(program.find_data(program::kHintsKey)->bytes);
  const program::Tid rows = std::get<program::Take>(chain[*hints.last_token_take]).out;
  const uint32_t written = program.n_tensors(), first_view = written + 1, n_views = 5, normed = first_view + n_views;
  program.n_temps += n_views + 2;
  program::Chain more;
  for (uint32_t i = 0; i < n_views; ++i) {
    more.push_back(program::RMSNorm{.x = rows, .weight = {}, .out = {{written}}, .eps = 1e-6f});
    more.push_back(program::Take{.x = {written}, .out = {{first_view + i}}, .index = -1, .axis = 1});
  }
  for (uint32_t i = 0; i < n_views; ++i) {
    more.push_back(program::RMSNorm{.x = {first_view + i}, .weight = {}, .out = {{normed}}, .eps = 1e-6f});
    more.push_back(program::Add{.a = {normed}, .b = rows, .out = {rows}});
  }
  chain.insert(chain.begin() + *hints.last_token_take + 1, more.begin(), more.end());
  const Error error = refusal(program);
  EXPECT_EQ(error.code, ErrorCode::kNotImplemented);
  EXPECT_NE(error.message.find("4 earlier contents"), std::string::npos) << error.message;
}

// ---- room ----------------------------------------------------------------------------------------------------------

// Two tokens' codes are padded to 256 a row, which is more than three tokens' where rows are short.
TEST_F(EmulatedSession, StepsOfTwoTokensFitANarrowModel) {
  const auto model = make_model(make_program("q8_0"), {.all_logits = true, .max_chunk = 3});
  const auto session = open(load(model));
  ASSERT_TRUE(session);
  const std::vector<int32_t> tokens = {2, 300, 301, 302, 303, 304};
  auto cpu = make_session(model);
  const auto expected = run_tokens(*cpu, tokens, 2);
  std::vector<float> logits;
  for (size_t i = 0; i < tokens.size(); i += 2) {
    const auto part = session->step(std::span(tokens).subspan(i, 2));
    ASSERT_TRUE(part) << part.error().message;
    logits.insert(logits.end(), part->begin(), part->end());
  }
  EXPECT_LE(relative_error(logits, expected), 3e-2);
}

// Gates among them: a launch that multiplies by one wants scratch that others do not.
TEST_F(EmulatedSession, ItsRoomIsKnownBeforeWeightsAreUploaded) {
  const auto model = make_model(make_program({.layers = 1, .period = 1}, "q4_k"), {});
  auto device = load(model);
  ASSERT_TRUE(device);
  runtime::SessionMemory memory;
  ASSERT_TRUE(runtime::note_session(*device, memory));
  static uint64_t free_bytes;
  Api card = emulated_api();
  card.open = [](int ordinal, kernels::cuda::Device** to, DeviceInfo* info, Failure* failure) {
    const int failed = emulated_api().open(ordinal, to, info, failure);
    info->free_bytes = free_bytes;
    return failed;
  };
  free_bytes = static_cast<uint64_t>(device->weight_bytes()) + memory.bytes();
  device.reset();  // there is one emulated device at a time
  EXPECT_TRUE(load(model, card));
  --free_bytes;
  EXPECT_FALSE(DeviceModel::create(model, *Gpu::open(card, 0)));
}

// ---- failures ------------------------------------------------------------------------------------------------------

TEST_F(EmulatedSession, ARecordingThatFailsIsNotReplayed) {
  static bool is_broken;
  is_broken = false;
  Api api = emulated_api();
  api.sample = [](kernels::cuda::Device* device, const SampleArgs* args, Failure* failure) {
    if (!is_broken) return emulated_api().sample(device, args, failure);
    return std::snprintf(failure->message, sizeof(failure->message), "sample: unplugged"), 1;
  };
  const auto device = load(make_model(make_program(), {}), api);
  const auto session = open(device), untouched = open(device);
  ASSERT_TRUE(session && untouched);
  for (const bool is_recorded : {false, true}) {  // the first step runs as it is, the second is recorded
    is_broken = true;
    const auto failed = session->continue_greedy(2, 1);
    is_broken = false;
    ASSERT_FALSE(failed);
    EXPECT_NE(failed.error().message.find("sample: unplugged"), std::string::npos) << failed.error().message;
    session->reset();
    if (is_recorded) continue;
    EXPECT_TRUE(session->continue_greedy(2, 1));
    session->reset();
  }
  const auto tokens = session->continue_greedy(2, 3), expected = untouched->continue_greedy(2, 3);
  ASSERT_TRUE(tokens && expected);
  EXPECT_EQ(*tokens, *expected);
}

// ---- turns ---------------------------------------------------------------------------------------------------------

// Another session may be in the middle of a step while one is made or goes.
TEST_F(EmulatedSession, ComesAndGoesInItsTurn) {
  static std::mutex* mutex;
  static int n_calls, n_out_of_turn;
  mutex = nullptr, n_calls = n_out_of_turn = 0;
  static const auto note = [] {
    if (!mutex) return;
    ++n_calls;
    const auto is_free = [] { return std::unique_lock(*mutex, std::try_to_lock).owns_lock(); };
    if (std::async(std::launch::async, is_free).get()) ++n_out_of_turn;
  };
  Api api = emulated_api();
  api.allocate = [](kernels::cuda::Device* device, const uint64_t* bytes, uint64_t n, Address* to, Failure* failure) {
    return note(), emulated_api().allocate(device, bytes, n, to, failure);
  };
  api.release = [](kernels::cuda::Device* device, const Address* addresses, uint64_t n) {
    note(), emulated_api().release(device, addresses, n);
  };
  api.upload = [](kernels::cuda::Device* device, const UploadPart* parts, uint64_t n, Failure* failure) {
    return note(), emulated_api().upload(device, parts, n, failure);
  };
  api.release_graph = [](kernels::cuda::Device* device, Graph* graph) {
    note(), emulated_api().release_graph(device, graph);
  };
  const auto model = make_model(make_program(), {});
  const auto device = load(model, api);
  ASSERT_TRUE(device);
  mutex = &model->step_mutex();
  auto session = open(device);
  ASSERT_TRUE(session);
  EXPECT_TRUE(session->continue_greedy(2, 3));
  const int n_before = n_calls;
  session.reset();
  EXPECT_GE(n_calls, n_before + 2);  // a recording and the memory
  EXPECT_EQ(n_out_of_turn, 0) << "of " << n_calls;
  mutex = nullptr;
}

// ---- profiles ------------------------------------------------------------------------------------------------------

// Of a step that nearly fills the context: the steps that are timed must not go on from its end.
TEST_F(EmulatedSession, AProfileLeavesWhatAStepLeaves) {
  Api api = emulated_api();
  api.seconds_between_marks = [](kernels::cuda::Device*, double* seconds, Failure*) { return *seconds = 1, 0; };
  constexpr int64_t kShort = 4;
  compile::SynthShape shape = kNarrow;  // of some forty emulated steps
  shape.layers = shape.period = 1;
  const auto device = load(make_model(make_program(shape, "q4_0", kShort), {}), api);
  const auto profiled = open(device), stepped = open(device);
  ASSERT_TRUE(profiled && stepped);
  const std::vector<int32_t> tokens = {2, 300, 301, 302};
  const auto first = std::span(tokens).first(1), middle = std::span(tokens).subspan(1, 2),
             last = std::span(tokens).last(1);
  ASSERT_TRUE(profiled->step(first) && stepped->step(first));
  const auto seconds = profiled->profile(middle);
  ASSERT_TRUE(seconds) << seconds.error().message;
  EXPECT_EQ(seconds->at("step"), 1);
  ASSERT_TRUE(stepped->step(middle));
  EXPECT_EQ(profiled->position(), stepped->position());
  const auto logits = profiled->step(last), expected = stepped->step(last);
  ASSERT_TRUE(logits && expected);
  EXPECT_EQ(std::vector<float>(logits->begin(), logits->end()), std::vector<float>(expected->begin(), expected->end()));
}

}  // namespace
}  // namespace tessera::testing
