// Whole models on the emulated GPU and, where one is, on the GPU: the same logits as on the CPU within the arithmetic,
// the float64 reference's best token at every position, however the tokens are cut; decode is recorded and replayed.
#include <gtest/gtest.h>

#include "compile/synth.h"
#include "generate/session_model.h"
#include "kernels/cuda/cuda_testing.h"
#include "model_testing.h"
#include "runtime/device/device_session.h"

namespace tessera::testing {
namespace {

using kernels::cuda::Gpu;
using runtime::DeviceModel;
using runtime::DeviceSession;

class ModelOnDevice : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    auto gpu = kernels::cuda::testing::open_gpu(std::string(GetParam()) == "emulated");
    if (!gpu) GTEST_SKIP() << "no GPU: " << gpu.error().message;
    gpu_ = std::move(*gpu);
  }
  std::unique_ptr<DeviceSession> open(const std::shared_ptr<const runtime::Model>& model) {
    auto device = DeviceModel::create(model, gpu_);
    EXPECT_TRUE(device) << device.error().message;
    if (!device) return nullptr;
    auto session = DeviceSession::create(*device);
    EXPECT_TRUE(session) << session.error().message;
    return session ? std::move(*session) : nullptr;
  }
  std::vector<float> run(DeviceSession& session, std::span<const int32_t> tokens, size_t chunk) {
    std::vector<float> out;
    for (size_t i = 0; i < tokens.size(); i += chunk) {
      const auto logits = session.step(tokens.subspan(i, std::min(chunk, tokens.size() - i)));
      EXPECT_TRUE(logits) << logits.error().message;
      if (!logits) return out;
      out.insert(out.end(), logits->begin(), logits->end());
    }
    return out;
  }

  std::shared_ptr<Gpu> gpu_;
};

TEST_P(ModelOnDevice, TinyModelsGiveTheReferencesLogits) {
  SKIP_WITHOUT_SHARED("vectors/gemma4-tiny");
  for (const char* folder : {"gemma4-tiny", "gemma4-tiny-sharedkv"}) {
    for (const auto& entry : std::filesystem::directory_iterator(shared_dir() / "vectors" / folder)) {
      if (entry.path().extension() != ".gguf") continue;
      const Reference reference = load_reference(folder, entry.path().stem().string());
      const bool is_first = entry.path().stem() == "tiny-q4km" && folder == std::string("gemma4-tiny");
      for (const bool exact : is_first ? std::vector{true, false} : std::vector{true}) {
        const auto model =
            make_model(compile_model(reference.gguf, {.dtype = DType::kF32}), {.exact = exact, .all_logits = true});
        ASSERT_TRUE(model);
        auto session = open(model);
        ASSERT_TRUE(session);
        // In two pieces, which take the tensor cores unless exact, and the first few one by one, which are recorded.
        const auto together = run(*session, reference.tokens, 24);
        session->reset();
        const auto first = std::span(reference.tokens).first(5);
        const auto one_by_one = run(*session, first, 1);
        const auto expected = std::span(reference.logits).first(one_by_one.size());
        const double bound = exact ? 1e-3 : 5e-2;
        EXPECT_LE(relative_error(together, reference.logits), bound) << entry.path();
        EXPECT_LE(relative_error(one_by_one, expected), bound) << entry.path();
        if (exact) {
          EXPECT_EQ(argmaxes(together, reference.vocab()), argmaxes(reference.logits, reference.vocab()));
        }
        auto cpu = make_session(model);
        EXPECT_LE(relative_error(one_by_one, run_tokens(*cpu, first, 5)), exact ? 1e-4 : 3e-2) << entry.path();
      }
    }
  }
}

// Embedding, linears and head of plain floats: one token by matvec, more on the tensor cores unless exact.
TEST_P(ModelOnDevice, WeightsThatAreFloats) {
  const TempDir dir;
  const auto shape = compile::named_shape("gemma4-tiny");
  const std::vector<int32_t> tokens = {2, 5, 7, 90};
  for (const auto& [type, exact] : {std::pair{"bf16", true}, {"bf16", false}, {"f16", false}}) {
    const std::string path = dir.file("model.gguf");
    ASSERT_TRUE(shape && compile::synth_model(path, *shape, {.type = type, .seed = 7}));
    const auto model = make_model(compile_model(path, {.dtype = DType::kF32}), {.exact = exact, .all_logits = true});
    auto session = open(model);
    ASSERT_TRUE(session) << type;
    auto cpu = make_session(model);
    const auto expected = run_tokens(*cpu, tokens, 1);
    for (const size_t chunk : {size_t{1}, tokens.size()}) {
      session->reset();
      EXPECT_LE(relative_error(run(*session, tokens, chunk), expected), exact ? 1e-4 : 5e-3) << type << " " << chunk;
    }
  }
}

// 24 tokens at once on the tensor cores, or in pieces of eight through the mat-vec kernels; slots and caches of 16
// bits.
TEST_P(ModelOnDevice, PrefillEqualsDecode) {
  SKIP_WITHOUT_SHARED("vectors/gemma4-tiny");
  const Reference reference = load_reference("gemma4-tiny", "tiny-q4km");
  std::vector<int32_t> tokens;
  for (int i = 0; i < 24; ++i) tokens.push_back(reference.tokens[static_cast<size_t>(i) % reference.tokens.size()]);
  for (const DType dtype : {DType::kBF16, DType::kF16}) {
    const auto model = make_model(compile_model(reference.gguf, {.dtype = dtype}), {});
    auto session = open(model);
    ASSERT_TRUE(session);
    const auto at_once = run(*session, tokens, tokens.size());
    session->reset();
    const auto in_pieces = run(*session, tokens, 8);
    ASSERT_EQ(in_pieces.size(), at_once.size() * 3);
    const std::span<const float> last = std::span(in_pieces).last(at_once.size());
    EXPECT_LE(relative_error(at_once, last), 6e-2);
    session->reset();
    const auto token = session->step_greedy(tokens);
    ASSERT_TRUE(token) << token.error().message;
    EXPECT_EQ(static_cast<size_t>(*token), argmaxes(at_once, at_once.size())[0]);
  }
}

// Tokens chosen on the device are those the sampler chooses from the logits that another session brought to the host;
// the rules change between the two conversations of a session.
TEST_P(ModelOnDevice, DrawsWhatTheSamplerWould) {
  SKIP_WITHOUT_SHARED("vectors/gemma4-tiny");
  const Reference reference = load_reference("gemma4-tiny", "tiny-q4km");
  const auto device = DeviceModel::create(make_model(compile_model(reference.gguf, {}), {}), gpu_);
  ASSERT_TRUE(device);
  auto drawing = DeviceSession::create(*device), giving = DeviceSession::create(*device);
  ASSERT_TRUE(drawing && giving);
  generate::SessionModel model(std::move(*drawing));
  const auto prompt = std::span(reference.tokens).first(3);
  const std::vector<int32_t> suppressed = {7, -1, 1 << 20};
  for (const generate::SamplingOptions& options :
       {generate::SamplingOptions{
            .temperature = 1.5f, .top_k = 20, .top_p = 0.9f, .repetition_penalty = 1.5f, .seed = 3},
        generate::SamplingOptions{.temperature = 0, .repetition_penalty = 1.2f},
        generate::SamplingOptions{.temperature = 0.7f, .seed = 11}}) {
    generate::Sampler on_device(options, suppressed), on_host(options, suppressed);
    model.session().reset();
    (*giving)->reset();
    std::vector<int32_t> tokens(prompt.begin(), prompt.end());
    for (int32_t token : tokens) on_device.accept(token), on_host.accept(token);
    for (int i = 0; i < 5; ++i) {
      const auto token = model.next(tokens, on_device);
      const auto logits = (*giving)->step(tokens);
      ASSERT_TRUE(token) << token.error().message;
      ASSERT_TRUE(logits);
      EXPECT_EQ(*token, *on_host.sample(*logits));
      tokens = {*token};
      on_device.accept(*token), on_host.accept(*token);
    }
  }
}

TEST_P(ModelOnDevice, GreedyStepsInARowAreThoseOneByOne) {
  SKIP_WITHOUT_SHARED("vectors/gemma4-tiny");
  const Reference reference = load_reference("gemma4-tiny", "tiny-q4km");
  auto session = open(make_model(compile_model(reference.gguf, {}), {}));
  ASSERT_TRUE(session);
  const int32_t first = reference.tokens[0];
  std::vector<int32_t> expected, input = {first};
  for (int i = 0; i < 6; ++i) {
    const auto token = session->step_greedy(input);
    ASSERT_TRUE(token) << token.error().message;
    expected.push_back(*token);
    input = {*token};
  }
  session->reset();
  const auto start = session->continue_greedy(first, 4);
  ASSERT_TRUE(start) << start.error().message;
  auto tokens = *start;
  const auto rest = session->continue_greedy(tokens.back(), 2);
  ASSERT_TRUE(rest) << rest.error().message;
  tokens.insert(tokens.end(), rest->begin(), rest->end());
  EXPECT_EQ(tokens, expected);
  EXPECT_EQ(session->position(), 6);
  EXPECT_FALSE(session->continue_greedy(first, session->capacity()));
}

TEST_P(ModelOnDevice, SessionsShareWeightsAndNotTheirCaches) {
  SKIP_WITHOUT_SHARED("vectors/gemma4-tiny");
  const Reference reference = load_reference("gemma4-tiny", "tiny-q4km");
  const auto device = DeviceModel::create(make_model(compile_model(reference.gguf, {}), {}), gpu_);
  ASSERT_TRUE(device);
  auto a = DeviceSession::create(*device), b = DeviceSession::create(*device);
  ASSERT_TRUE(a && b);
  const std::span<const int32_t> tokens = reference.tokens;
  std::vector<float> of_a, of_b;
  for (size_t i = 0; i < 3; ++i) {
    of_a = run(**a, tokens.subspan(i, 1), 1);
    of_b = run(**b, tokens.subspan(2 - i, 1), 1);
  }
  (*a)->reset();
  EXPECT_EQ(run(**a, tokens.first(3), 1).size(), 3 * of_a.size());
  EXPECT_EQ((*a)->position(), 3);
  (*a)->reset();
  std::vector<float> again;
  for (size_t i = 0; i < 3; ++i) again = run(**a, tokens.subspan(i, 1), 1);
  EXPECT_EQ(again, of_a);
  EXPECT_NE(of_a, of_b);
}

TEST_P(ModelOnDevice, WhatIsRefusedNamesIt) {
  SKIP_WITHOUT_SHARED("vectors/gemma4-tiny");
  const Reference reference = load_reference("gemma4-tiny", "tiny-q4km");
  const auto plain = make_model(compile_model(reference.gguf, {}), {.disabled_fusions = {"norm", "residual"}});
  const auto refused = DeviceModel::create(plain, gpu_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kNotImplemented);
  EXPECT_NE(refused.error().message.find("RMSNorm"), std::string::npos) << refused.error().message;
  const TempDir dir;
  const std::string path = dir.file("model.gguf");  // of matrices with factors
  ASSERT_TRUE(compile::synth_model(path, *compile::named_shape("gemma4-tiny"), {.type = "nvfp4"}));
  const auto factors = DeviceModel::create(make_model(compile_model(path, {.dtype = DType::kF32}), {}), gpu_);
  ASSERT_FALSE(factors);
  EXPECT_EQ(factors.error().code, ErrorCode::kNotImplemented);
  EXPECT_NE(factors.error().message.find("multiplied by a number"), std::string::npos) << factors.error().message;
  auto session = open(make_model(compile_model(reference.gguf, {}), {}));
  ASSERT_TRUE(session);
  EXPECT_FALSE(session->step({}));
  const int32_t outside[] = {1 << 20};
  EXPECT_FALSE(session->step(outside));
}

// A card with too little memory is refused before anything is uploaded.
TEST(SmallCard, IsRefusedWithWhatItNeedsAndHas) {
  SKIP_WITHOUT_SHARED("vectors/gemma4-tiny");
  kernels::cuda::Api small = kernels::cuda::emulated_api();
  small.open = [](int ordinal, kernels::cuda::Device** device, kernels::cuda::DeviceInfo* info,
                  kernels::cuda::Failure* failure) {
    const int failed = kernels::cuda::emulated_api().open(ordinal, device, info, failure);
    info->free_bytes = 200'000;
    return failed;
  };
  small.upload = [](kernels::cuda::Device*, const kernels::cuda::UploadPart*, uint64_t, kernels::cuda::Failure*) {
    ADD_FAILURE() << "uploads before it looks";
    return 1;
  };
  const auto gpu = Gpu::open(small, 0);
  ASSERT_TRUE(gpu);
  const Reference reference = load_reference("gemma4-tiny", "tiny-q4km");
  const auto refused = DeviceModel::create(make_model(compile_model(reference.gguf, {}), {}), *gpu);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kOutOfMemory);
  EXPECT_NE(refused.error().message.find("0.2 MB"), std::string::npos) << refused.error().message;
  EXPECT_FALSE(Gpu::open(small, 1));  // no such device
}

// Memory that another program took after the card was opened, and a transfer that breaks off: what was loaded is given
// back, and the card can be tried again.
TEST(SmallCard, LosesNothingWhenLoadingFails) {
  SKIP_WITHOUT_SHARED("vectors/gemma4-tiny");
  using namespace kernels::cuda;
  const Reference reference = load_reference("gemma4-tiny", "tiny-q4km");
  const auto model = make_model(compile_model(reference.gguf, {}), {});
  static int n_allocated;
  n_allocated = 0;
  Api api = emulated_api();
  api.allocate = [](kernels::cuda::Device* device, const uint64_t* bytes, uint64_t n, Address* to, Failure* failure) {
    ++n_allocated;
    return emulated_api().allocate(device, bytes, n, to, failure);
  };
  api.release = [](kernels::cuda::Device* device, const Address* addresses, uint64_t n) {
    --n_allocated;
    emulated_api().release(device, addresses, n);
  };
  Api full = api, broken = api;
  full.allocate = [](kernels::cuda::Device*, const uint64_t*, uint64_t, Address*, Failure* failure) {
    return std::snprintf(failure->message, sizeof(failure->message), "device memory: taken"), 1;
  };
  broken.upload = [](kernels::cuda::Device*, const UploadPart*, uint64_t, Failure* failure) {
    return std::snprintf(failure->message, sizeof(failure->message), "upload: unplugged"), 1;
  };
  {
    const auto refused = DeviceModel::create(model, *Gpu::open(full, 0));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kOutOfMemory);
    EXPECT_NE(refused.error().message.find("device memory: taken"), std::string::npos) << refused.error().message;
  }
  {
    const auto refused = DeviceModel::create(model, *Gpu::open(broken, 0));
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("upload: unplugged"), std::string::npos) << refused.error().message;
  }
  EXPECT_EQ(n_allocated, 0);
  {
    const auto loaded = DeviceModel::create(model, *Gpu::open(api, 0));
    ASSERT_TRUE(loaded);
    EXPECT_TRUE(DeviceSession::create(*loaded));
    EXPECT_EQ(n_allocated, 1);  // the weights; the session is gone
  }
  EXPECT_EQ(n_allocated, 0);
}

INSTANTIATE_TEST_SUITE_P(Devices, ModelOnDevice, ::testing::Values("emulated", "gpu"),
                         kernels::cuda::testing::device_name);

}  // namespace
}  // namespace tessera::testing
