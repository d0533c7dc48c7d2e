#include "compile/synth.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "compile/synth_vocabulary.h"
#include "compile/synth_weights.h"
#include "gguf/file.h"
#include "gguf/tensor_stream.h"
#include "test_util.h"

namespace tessera::compile {
namespace {

using testing::TempDir;

std::shared_ptr<const gguf::File> synth(const TempDir& dir, const SynthShape& shape, const SynthOptions& options) {
  const std::string path = dir.file("synth.gguf");
  const auto status = synth_model(path, shape, options);
  EXPECT_TRUE(status.has_value()) << status.error().message;
  auto file = gguf::File::open(path);
  EXPECT_TRUE(file.has_value()) << file.error().message;
  return *file;
}

// Mean and deviation of a tensor's dequantized values.
std::pair<double, double> moments(const gguf::File& file, const gguf::TensorInfo& tensor) {
  double sum = 0, squares = 0;
  const auto status = gguf::for_each_tile(file, tensor, {}, [&](const gguf::TensorTile& tile) -> Status {
    for (const float v : tile.values) sum += v, squares += static_cast<double>(v) * v;
    return {};
  });
  EXPECT_TRUE(status.has_value());
  const auto n = static_cast<double>(tensor.n_values());
  return {sum / n, std::sqrt(squares / n - sum / n * sum / n)};
}

TEST(Synth, WeightsHaveTheRightSpreadInEveryType) {
  const TempDir dir;
  std::vector<std::string> types = {"q4_k_m", "q5_k_m"};
  for (const quant::Format& format : quant::all_formats())
    if (format.dequantize) types.emplace_back(format.name);
  for (const std::string& type : types) {
    const auto file = synth(dir, SynthShape(), {.type = type});
    EXPECT_TRUE(gguf::check_scales(*file).has_value());
    for (const auto& tensor : file->tensors()) {
      if (tensor.dims.size() < 2) continue;
      const auto [mean, std_dev] = moments(*file, tensor);
      double expected = 1 / std::sqrt(static_cast<double>(tensor.row_values()));
      if (tensor.format->type == quant::GgmlType::kNVFP4) {
        const auto* factor = file->find(tensor.name.substr(0, tensor.name.rfind('.')) + ".scale");
        ASSERT_NE(factor, nullptr) << tensor.name;
        EXPECT_NEAR(moments(*file, *factor).first, expected, 1e-6);
        expected = 1;
      }
      EXPECT_NEAR(std_dev, expected, 0.05 * expected) << type << " " << tensor.name;
      EXPECT_NEAR(mean, 0, 0.05 * expected) << type << " " << tensor.name;
    }
  }
}

TEST(Synth, SpecialTensors) {
  const TempDir dir;
  const auto file = synth(dir, SynthShape(), {});
  const auto values = [&](std::string_view name) {
    const auto bytes = file->bytes(*file->find(name));
    const auto* begin = reinterpret_cast<const float*>(bytes.data());
    return std::vector<float>(begin, begin + bytes.size() / 4);
  };
  const auto factors = values("rope_freqs.weight");
  ASSERT_EQ(factors.size(), 64u);
  for (size_t i = 0; i < 64; ++i) EXPECT_EQ(factors[i], i < 16 ? 1.0f : 1e30f);
  EXPECT_NEAR(values("blk.3.layer_output_scale.weight")[0], 0.9, 0.05);
  for (const float v : values("blk.0.attn_norm.weight")) EXPECT_NEAR(v, 1.0, 0.2);
  EXPECT_EQ(file->find("blk.5.attn_v.weight"), nullptr);
  EXPECT_NE(file->find("blk.4.attn_v.weight"), nullptr);
  SynthShape with_v;
  with_v.v_from_k = false;
  EXPECT_NE(synth(dir, with_v, {})->find("blk.5.attn_v.weight"), nullptr);
}

TEST(Synth, OneFormatButTheHead) {
  const TempDir dir;
  const auto file = synth(dir, SynthShape(), {.type = "iq3_xxs"});
  EXPECT_EQ(file->find("token_embd.weight")->format->name, "Q6_K");
  EXPECT_EQ(file->find("blk.0.ffn_up.weight")->format->name, "IQ3_XXS");
  EXPECT_FALSE(file->metadata().find("general.file_type"));
  const auto unknown = synth_model(dir.file("x.gguf"), SynthShape(), {.type = "iq9"});
  ASSERT_FALSE(unknown);
  EXPECT_NE(unknown.error().message.find("unknown type 'iq9'; there are the mixes q4_k_m, "), std::string::npos);
  EXPECT_NE(unknown.error().message.find(", IQ3_XXS, "), std::string::npos);
}

TEST(Synth, BytesDependOnTheSeedAndNotOnThreads) {
  const TempDir dir;
  const auto bytes = [&](uint64_t seed, int n_threads, const char* type) {
    synth(dir, SynthShape(), {.type = type, .seed = seed, .n_threads = n_threads});
    return testing::read_file(dir.file("synth.gguf"));
  };
  for (const char* type : {"q4_k_m", "bf16", "nvfp4"}) {
    const auto one = bytes(1, 1, type);
    EXPECT_EQ(one, bytes(1, 3, type));
    EXPECT_NE(one, bytes(2, 1, type));
  }
}

TEST(Synth, DrawingInPiecesGivesTheSameWeights) {
  for (const quant::Format& format : quant::all_formats()) {
    if (!format.dequantize) continue;
    constexpr int64_t kValues = 4096;
    const uint64_t key = weight_key(7, "t");
    std::vector<std::byte> whole(static_cast<size_t>(format.bytes_for(kValues))), pieces(whole.size());
    draw_weights(format, key, {0, 0.01f}, 0, kValues, whole.data());
    for (int64_t at = 0; at < kValues; at += 512)
      draw_weights(format, key, {0, 0.01f}, at, 512, pieces.data() + format.bytes_for(at));
    EXPECT_EQ(whole, pieces) << format.name;
  }
  EXPECT_NE(weight_key(1, "a"), weight_key(1, "b"));
  EXPECT_NE(weight_key(1, "a"), weight_key(2, "a"));
}

TEST(Synth, OddSizesFallBackToSmallerBlocks) {
  const TempDir dir;
  SynthShape shape;
  shape.hidden = 96;
  shape.ffn = 200;
  const auto file = synth(dir, shape, {.type = "q4_k_m"});
  EXPECT_EQ(file->find("token_embd.weight")->format->name, "Q8_0");
  EXPECT_EQ(file->find("blk.0.attn_q.weight")->format->name, "Q5_0");
  EXPECT_EQ(file->find("blk.0.ffn_down.weight")->format->name, "F16");
}

TEST(Synth, RefusesImpossibleShapes) {
  const TempDir dir;
  const auto error_of = [&](auto&& change) {
    SynthShape shape;
    change(shape);
    const auto status = synth_model(dir.file("x.gguf"), shape, {});
    return status ? std::string("written") : status.error().message;
  };
  EXPECT_EQ(error_of([](SynthShape& s) { s.layers = 0; }), "layers is 0, expected 1 to 16777216");
  EXPECT_EQ(error_of([](SynthShape& s) { s.vocab = 511; }), "vocab is 511, expected 512 at least");
  EXPECT_NE(error_of([](SynthShape& s) { s.kv_heads = 3; }).find("share 3"), std::string::npos);
  EXPECT_NE(error_of([](SynthShape& s) { s.head_dim_full = 12; }).find("multiple of 8"), std::string::npos);
  EXPECT_NE(named_shape("gemma4-e4b").error().message.find("gemma4-31b, gemma4-12b"), std::string::npos);
}

TEST(SynthVocabulary, HasEveryByteAndSpecialTokenOnce) {
  for (const int64_t size : {kMinSynthVocab, int64_t{4096}, int64_t{32768}, int64_t{262144}}) {
    const SynthVocabulary vocabulary = make_vocabulary(size);
    ASSERT_EQ(vocabulary.tokens.size(), static_cast<size_t>(size));
    const std::set<std::string> unique(vocabulary.tokens.begin(), vocabulary.tokens.end());
    EXPECT_EQ(unique.size(), vocabulary.tokens.size());
    EXPECT_EQ(unique.count(""), 0u);
    EXPECT_EQ(vocabulary.tokens[2], "<bos>");
    EXPECT_EQ(vocabulary.tokens[106], "<turn|>");
    EXPECT_EQ(vocabulary.tokens[107], "\n");
    EXPECT_EQ(vocabulary.tokens[238], "<0x00>");
    EXPECT_EQ(vocabulary.tokens[493], "<0xFF>");
    EXPECT_EQ(std::count(vocabulary.types.begin(), vocabulary.types.end(), 6), 256);
    for (char c = '!'; c <= '~'; ++c) EXPECT_TRUE(unique.contains(std::string(1, c)));
    EXPECT_GT(vocabulary.merges.size(), 50u);
    for (const std::string& merge : vocabulary.merges) {
      const size_t cut = merge.find(' ', 1);
      ASSERT_NE(cut, std::string::npos);
      const std::string left = merge.substr(0, cut), right = merge.substr(cut + 1);
      EXPECT_TRUE(unique.contains(left) && unique.contains(right) && unique.contains(left + right)) << merge;
    }
  }
  EXPECT_EQ(make_vocabulary(262144).tokens[258882], "<image|>");
}

// What the published file has: counts by format, dims of each kind of layer, bytes of tensor data.
TEST(Synth, The31BHasThePublishedTensors) {
  const auto tensors = synth_tensors(*named_shape("gemma4-31b"), "q4_k_m").value();
  std::map<std::string, std::vector<int64_t>> dims;
  std::map<std::string_view, int> counts;
  double bytes = 0;
  for (const auto& tensor : tensors) {
    dims[tensor.name] = tensor.dims;
    ++counts[tensor.format->name];
    int64_t n = 1;
    for (const int64_t dim : tensor.dims) n *= dim;
    bytes += static_cast<double>(tensor.format->bytes_for(n));
  }
  EXPECT_EQ(tensors.size(), 833u);
  EXPECT_EQ(counts["F32"], 422);
  EXPECT_EQ(counts["Q4_K"], 355);
  EXPECT_EQ(counts["Q6_K"], 56);
  EXPECT_NEAR(bytes, 18.67e9, 0.005e9);
  EXPECT_EQ(dims["token_embd.weight"], (std::vector<int64_t>{5376, 262144}));
  EXPECT_EQ(dims["output_norm.weight"], (std::vector<int64_t>{5376}));
  EXPECT_EQ(dims["rope_freqs.weight"], (std::vector<int64_t>{256}));
  struct {
    const char* suffix;
    std::vector<int64_t> sliding, full;
  } const expected[] = {{"attn_norm", {5376}, {5376}},
                        {"attn_q", {5376, 8192}, {5376, 16384}},
                        {"attn_k", {5376, 4096}, {5376, 2048}},
                        {"attn_v", {5376, 4096}, {}},
                        {"attn_output", {8192, 5376}, {16384, 5376}},
                        {"attn_q_norm", {256}, {512}},
                        {"attn_k_norm", {256}, {512}},
                        {"post_attention_norm", {5376}, {5376}},
                        {"ffn_norm", {5376}, {5376}},
                        {"ffn_gate", {5376, 21504}, {5376, 21504}},
                        {"ffn_up", {5376, 21504}, {5376, 21504}},
                        {"ffn_down", {21504, 5376}, {21504, 5376}},
                        {"post_ffw_norm", {5376}, {5376}},
                        {"layer_output_scale", {1}, {1}}};
  for (const auto& [suffix, sliding, full] : expected) {
    EXPECT_EQ(dims[fmt::format("blk.4.{}.weight", suffix)], sliding) << suffix;
    EXPECT_EQ(dims[fmt::format("blk.59.{}.weight", suffix)], full) << suffix;
  }
}

TEST(Synth, The12BHasThePublishedTensors) {
  const auto tensors = synth_tensors(*named_shape("gemma4-12b"), "q4_k_m").value();
  int64_t n_weights = 0;
  for (const auto& tensor : tensors)
    if (tensor.dims.size() == 2) n_weights += tensor.dims[0] * tensor.dims[1];
  EXPECT_EQ(tensors.size(), 667u);
  EXPECT_NEAR(static_cast<double>(n_weights), 11.91e9, 0.005e9);
}

}  // namespace
}  // namespace tessera::compile
