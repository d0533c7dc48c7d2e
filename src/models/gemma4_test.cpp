#include "models/gemma4.h"

#include <gtest/gtest.h>

#include <cmath>

#include "graph/text.h"
#include "models/gemma4_testing.h"
#include "test_util.h"

namespace tessera::models {
namespace {

using testing::Gemma4File;
using testing::Gemma4Shape;

Model build(const Gemma4File& file, const ModelOptions& options = {}) {
  const auto opened = file.open();
  EXPECT_TRUE(opened) << opened.error().message;
  auto model = build_model(**opened, options);
  EXPECT_TRUE(model) << model.error().message;
  return model ? std::move(*model) : Model{};
}

Error error_of(const Gemma4File& file) {
  const auto opened = file.open();
  if (!opened) return opened.error();  // the reader checks the lengths of per-layer arrays
  const auto model = build_model(**opened, {});
  EXPECT_FALSE(model);
  return model ? Error{} : model.error();
}

void expect_error(const Gemma4File& file, ErrorCode code, std::initializer_list<std::string_view> parts) {
  const Error error = error_of(file);
  EXPECT_EQ(error.code, code) << error.message;
  EXPECT_EQ(error.message.find('\n'), std::string::npos) << error.message;
  for (std::string_view part : parts)
    EXPECT_NE(error.message.find(part), std::string::npos) << error.message << "\ndoes not say: " << part;
}

template <typename O>
int count(const graph::Graph& graph) {
  return static_cast<int>(std::count_if(graph.nodes.begin(), graph.nodes.end(),
                                        [](const auto& node) { return std::holds_alternative<O>(node.op); }));
}

TEST(Gemma4, ASlidingAndAFullLayer) {
  testing::expect_golden("src/models/golden/gemma4.txt",
                         graph::print(build(Gemma4File{}, {.dtype = DType::kBF16}).graph));
}

TEST(Gemma4, SharedKvLayersReadTheLastOwnerOfTheirType) {
  const Gemma4Shape shape = {.layers = 6, .period = 2, .shared_kv = 2};
  testing::expect_golden("src/models/golden/gemma4_shared_kv.txt", graph::print(build(Gemma4File(shape)).graph));
}

TEST(Gemma4, ThePublished31BShape) {
  const auto begin = std::chrono::steady_clock::now();
  const Model model = build(Gemma4File(testing::kGemma4_31B), {.dtype = DType::kBF16});
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(1));
  EXPECT_EQ(model.n_layers, 60);
  EXPECT_EQ(model.vocab_size, 262144);
  EXPECT_EQ(model.context_length, 262144);
  EXPECT_EQ(model.name, "test");
  EXPECT_EQ(count<graph::Attention>(model.graph), 60);
  EXPECT_EQ(count<graph::RmsNorm>(model.graph), 421);
  EXPECT_EQ(count<graph::Linear>(model.graph), 60 * 7 - 10 + 1);  // ten layers without a V projection
  EXPECT_TRUE(model.warnings.empty());
}

TEST(Gemma4, OwnsWhatItMadeAndBorrowsTheRest) {
  const auto file = *Gemma4File{}.open();
  const auto model = *build_model(*file, {.dtype = DType::kBF16});
  for (const graph::Weight& weight : model.graph.weights) {
    const gguf::TensorInfo* tensor = file->find(weight.name);
    const bool borrowed = tensor && weight.bytes.data() == file->bytes(*tensor).data();
    EXPECT_EQ(borrowed, tensor && tensor->dims.size() == 2) << weight.name;  // norms are cast, matrices are not
    EXPECT_NE(weight.owner, nullptr) << weight.name;
  }
}

std::vector<float> periods(const Model& model) {
  for (const graph::Weight& weight : model.graph.weights)
    if (weight.name == "rope_periods") {
      const auto* data = reinterpret_cast<const float*>(weight.bytes.data());
      return {data, data + weight.bytes.size() / sizeof(float)};
    }
  return {};
}

TEST(Gemma4, RopePeriodsWithoutTheTensorAreThePublishedOnes) {
  Gemma4File file;
  file.remove("rope_freqs.weight");
  const std::vector<float> got = periods(build(file));
  ASSERT_EQ(got.size(), 64u);  // of 128 values
  for (size_t i = 0; i < 64; ++i) {
    const double period = std::pow(1e6, 2.0 * static_cast<double>(i) / 128) * (i < 16 ? 1.0 : 1e30);
    EXPECT_NEAR(got[i] / period, 1.0, 1e-6) << i;
  }
}

TEST(Gemma4, RopePeriodsFollowTheTensorOfARealFile) {
  SKIP_WITHOUT_SHARED("vectors/gemma4-tiny");
  const auto file = gguf::File::open((testing::shared_dir() / "vectors/gemma4-tiny/tiny-q4km.gguf").string());
  ASSERT_TRUE(file) << file.error().message;
  const auto model = build_model(**file, {});
  ASSERT_TRUE(model) << model.error().message;
  const std::vector<float> got = periods(*model);
  ASSERT_EQ(got.size(), 64u);
  const auto* factors = reinterpret_cast<const float*>((*file)->bytes(*(*file)->find("rope_freqs.weight")).data());
  for (size_t i = 0; i < 64; ++i)
    EXPECT_NEAR(got[i] / (std::pow(1e6, static_cast<double>(i) / 64) * static_cast<double>(factors[i])), 1.0, 1e-6)
        << i;
}

TEST(Gemma4, AHeadOfItsOwnIsUsed) {
  Gemma4File file;
  file.add("output.weight", "Q8_0", {256, 512});
  const Model model = build(file);
  EXPECT_NE(graph::print(model.graph).find(", output.weight)"), std::string::npos);
  EXPECT_TRUE(model.warnings.empty());
}

TEST(Gemma4, ALayerWithoutOutputScaleIsNotScaled) {
  Gemma4File file;
  file.remove("blk.1.layer_output_scale.weight");
  EXPECT_EQ(count<graph::Mul>(build(Gemma4File{}).graph), 4);
  EXPECT_EQ(count<graph::Mul>(build(file).graph), 3);
}

TEST(Gemma4, AMatrixIsMultipliedByItsFactor) {
  Gemma4File file({.layers = 4, .shared_kv = 2});
  const auto n_products = count<graph::Mul>(build(file).graph);
  file.add("blk.2.attn_k.scale", "F32", {1});  // of a matrix that nobody reads
  for (const char* name : {"blk.0.attn_q.scale", "blk.0.ffn_up.scale", "blk.3.ffn_down.scale"})
    file.add(name, "F32", {1});
  file.add("output.weight", "Q8_0", {256, 512});
  file.add("output.scale", "F32", {1});
  const Model model = build(file);
  EXPECT_EQ(count<graph::Mul>(model.graph), n_products + 4);
  EXPECT_TRUE(model.warnings.empty());

  file.tensor("blk.0.ffn_up.scale").dims = {2};
  expect_error(file, ErrorCode::kInvalidFormat, {"blk.0.ffn_up.scale", "expected dims [1], found [2]"});
}

TEST(Gemma4, PerLayerNumbersMayBeOneNumberOrAnArray) {
  Gemma4File scalar({.kv_heads = 2, .kv_heads_full = 2});
  scalar.set("attention.head_count_kv", gguf::Value(uint32_t{2}));
  EXPECT_EQ(build(scalar).graph.caches[1].n_kv_heads, 2);

  Gemma4File array;
  array.set("feed_forward_length", gguf::Value::array(std::vector<int32_t>{512, 768}));
  array.tensor("blk.1.ffn_gate.weight").dims = {256, 768};
  array.tensor("blk.1.ffn_up.weight").dims = {256, 768};
  array.tensor("blk.1.ffn_down.weight").dims = {768, 256};
  EXPECT_EQ(count<graph::Linear>(build(array).graph), 14);

  array.set("feed_forward_length", gguf::Value::array(std::vector<int32_t>{512, 768, 512}));
  expect_error(array, ErrorCode::kInvalidFormat, {"gemma4.feed_forward_length", "3 elements", "expected 2"});
}

TEST(Gemma4, DefaultsAreToldAbout) {
  Gemma4File file;
  file.metadata.erase("gemma4.final_logit_softcapping");
  file.metadata.erase("gemma4.rope.freq_base_swa");
  const Model model = build(file);
  ASSERT_EQ(model.warnings.size(), 2u);
  EXPECT_EQ(model.warnings[0], "gemma4.rope.freq_base_swa is absent: taken as 10000");
  EXPECT_EQ(model.warnings[1], "gemma4.final_logit_softcapping is absent: taken as 30");
  EXPECT_EQ(graph::print(model.graph), graph::print(build(Gemma4File{}).graph));
}

TEST(Gemma4, UnusedTensorsAreToldAboutButNotThoseOfSharedKvLayers) {
  Gemma4File file({.layers = 4, .shared_kv = 2});
  file.add("blk.2.attn_k.weight", "Q4_K", {256, 128});
  EXPECT_TRUE(build(file).warnings.empty());
  file.add("v.patch_embd.weight", "F32", {16});
  file.add("mm.weight", "F32", {16});
  EXPECT_EQ(build(file).warnings, std::vector<std::string>{"2 tensors are not used: v.patch_embd.weight, mm.weight"});
}

TEST(Gemma4, MissingTensorsAreNamedInOneError) {
  Gemma4File file;
  file.remove("blk.0.attn_v.weight");  // a sliding layer has one
  file.remove("blk.1.ffn_norm.weight");
  expect_error(file, ErrorCode::kNotFound,
               {"test.gguf: tensors missing: ", "blk.0.attn_v.weight [256, 128]", "blk.1.ffn_norm.weight [256]"});
  for (int i = 0; i < 2; ++i)
    for (const char* name : {"attn_norm", "attn_q", "attn_k", "attn_output", "post_ffw_norm", "ffn_down"})
      file.remove(fmt::format("blk.{}.{}.weight", i, name));
  expect_error(file, ErrorCode::kNotFound, {"and 6 more"});
}

TEST(Gemma4, EveryTensorIsCheckedForItsShape) {
  const Gemma4File good;
  for (const auto& declared : good.tensors) {
    Gemma4File file;
    auto& dims = file.tensor(declared.name).dims;
    dims.back() += declared.name == "token_embd.weight" ? 0 : 256;
    if (declared.name == "token_embd.weight") dims[0] = 512;
    expect_error(file, ErrorCode::kInvalidFormat,
                 {declared.name, fmt::format("expected dims {}, found {}", gguf::dims_to_string(declared.dims),
                                             gguf::dims_to_string(dims))});
  }
}

TEST(Gemma4, MissingAndMisshapenTogether) {
  Gemma4File file;
  file.remove("blk.0.ffn_norm.weight");
  file.tensor("blk.1.ffn_norm.weight").dims = {255};
  expect_error(
      file, ErrorCode::kInvalidFormat,
      {"tensor missing: blk.0.ffn_norm.weight [256]", "blk.1.ffn_norm.weight: expected dims [256], found [255]"});
}

TEST(Gemma4, KeysAreRequiredAndChecked) {
  for (const char* key :
       {"block_count", "embedding_length", "context_length", "attention.head_count", "attention.head_count_kv",
        "attention.sliding_window", "attention.sliding_window_pattern", "attention.key_length",
        "attention.key_length_swa", "feed_forward_length", "attention.layer_norm_rms_epsilon"}) {
    Gemma4File file;
    file.metadata.erase(fmt::format("gemma4.{}", key));
    expect_error(file, ErrorCode::kNotFound, {key});
  }
  for (const char* key : {"embedding_length", "attention.head_count", "attention.head_count_kv",
                          "attention.sliding_window", "attention.key_length", "attention.key_length_swa"}) {
    Gemma4File file;
    file.set(key, gguf::Value(uint32_t{0}));
    expect_error(file, ErrorCode::kInvalidFormat, {key, "found 0"});
  }
  Gemma4File heads;
  heads.set("attention.head_count_kv", gguf::Value(uint32_t{3}));
  expect_error(heads, ErrorCode::kInvalidFormat, {"4 heads do not share 3 KV heads"});
  Gemma4File pattern;
  pattern.set("attention.sliding_window_pattern", gguf::Value::array(std::vector<bool>{true}));
  expect_error(pattern, ErrorCode::kInvalidFormat, {"sliding_window_pattern", "1 elements, expected 2"});
  Gemma4File shared;
  shared.set("attention.shared_kv_layers", gguf::Value(uint32_t{1}));
  expect_error(shared, ErrorCode::kInvalidFormat, {"no layer before 1 has KV of its type"});
}

TEST(Gemma4, OtherVariantsAreNotImplementedByName) {
  Gemma4File experts;
  experts.set("expert_count", gguf::Value(uint32_t{128}));
  expect_error(experts, ErrorCode::kNotImplemented, {"128 experts", "gemma4.expert_count"});
  Gemma4File per_layer;
  per_layer.set("embedding_length_per_layer_input", gguf::Value(uint32_t{256}));
  expect_error(per_layer, ErrorCode::kNotImplemented, {"per-layer embeddings"});
  Gemma4File partial;
  partial.set("rope.dimension_count", gguf::Value(uint32_t{64}));
  expect_error(partial, ErrorCode::kNotImplemented, {"gemma4.rope.dimension_count = 64"});
  Gemma4File other;
  other.metadata.set("general.architecture", gguf::Value("mamba"));
  expect_error(other, ErrorCode::kNotImplemented, {"architecture 'mamba'", "supported: gemma4"});
}

TEST(Gemma4, AFormatThatCannotBeReadIsNamed) {
  Gemma4File file;
  file.tensor("blk.0.attn_q.weight").format = quant::find_format(quant::GgmlType::kI8);
  expect_error(file, ErrorCode::kInvalidFormat, {"blk.0.attn_q.weight", "format I8", "supported: ", "Q4_K"});
}

}  // namespace
}  // namespace tessera::models
