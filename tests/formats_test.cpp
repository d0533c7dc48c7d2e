// Whole models in every format that can be read: by fused kernels in either arithmetic, all at once and token by token,
// against the same instructions one by one.
#include "compile/synth.h"

#include <gtest/gtest.h>

#include "model_testing.h"

namespace tessera::runtime {
namespace {

using namespace testing;

const std::vector<int32_t> kTokens = {2, 5, 7, 90, 401, 33, 120, 8, 77, 300, 12, 2};

constexpr compile::SynthShape kShape;
constexpr auto kVocab = static_cast<std::ptrdiff_t>(kShape.vocab);

class Formats : public ::testing::TestWithParam<const quant::Format*> {
 protected:
  // After the last token.
  std::vector<float> logits(ModelOptions options, size_t chunk) {
    options.n_threads = 2;
    auto model = make_model(compile_model(path_, {.dtype = DType::kF32, .max_seq_len = 64}), options);
    auto rows = run_tokens(*make_session(model), kTokens, chunk);
    rows.erase(rows.begin(), rows.end() - kVocab);
    return rows;
  }
  void SetUp() override {
    const Status written = compile::synth_model(path_, *compile::named_shape("gemma4-tiny"),
                                                {.type = std::string(GetParam()->name), .seed = 3, .n_threads = 1});
    ASSERT_TRUE(written) << written.error().message;
  }

  TempDir dir_;
  const std::string path_ = dir_.file("model.gguf");
};

TEST_P(Formats, FusedModelsMeanTheirInstructions) {
  const auto plain = logits({.exact = true, .disabled_fusions = {"all"}}, kTokens.size());
  const auto exact = logits({.exact = true}, kTokens.size());
  const auto fast = logits({}, kTokens.size());
  EXPECT_LT(relative_error(exact, plain), 1e-4);
  EXPECT_LT(relative_error(fast, exact), 6e-2);  // activations as int8, in six layers of random weights
  EXPECT_EQ(fast, logits({}, 1));
  EXPECT_EQ(exact, logits({.exact = true}, 1));
}

std::vector<const quant::Format*> readable_formats() {
  std::vector<const quant::Format*> out;
  for (const quant::Format& format : quant::all_formats())
    if (format.dequantize) out.push_back(&format);
  return out;
}

INSTANTIATE_TEST_SUITE_P(All, Formats, ::testing::ValuesIn(readable_formats()),
                         [](const auto& of) { return std::string(of.param->name); });

}  // namespace
}  // namespace tessera::runtime
