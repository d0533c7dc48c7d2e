#include "compile/quant_mix.h"

#include <gtest/gtest.h>

#include <sstream>

#include "gguf/file.h"
#include "test_util.h"

namespace tessera::compile {
namespace {

using gguf::TensorDeclaration;
using quant::find_format;
using quant::GgmlType;

std::vector<std::string> names_of(const QuantMix& mix, int64_t n_layers,
                                  const std::vector<TensorDeclaration>& tensors) {
  const auto formats = assign_formats(mix, n_layers, tensors);
  std::vector<std::string> names;
  for (const auto* format : formats) names.emplace_back(format->name);
  return names;
}

std::vector<int64_t> layers_with_more_bits(int64_t n) {
  std::vector<int64_t> out;
  for (int64_t i = 0; i < n; ++i)
    if (has_more_bits(i, n)) out.push_back(i);
  return out;
}

// The ordinals of the published 12B file: 48 ffn_down, and 40 attn_v.
TEST(QuantMix, MoreBitsAreWhereLlamaCppHasThem) {
  EXPECT_EQ(layers_with_more_bits(48), (std::vector<int64_t>{0,  1,  2,  3,  4,  5,  8,  11, 14, 17, 20, 23,
                                                             26, 29, 32, 35, 38, 41, 42, 43, 44, 45, 46, 47}));
  EXPECT_EQ(layers_with_more_bits(60).size(), 30u);
  EXPECT_EQ(layers_with_more_bits(40).size(), 20u);
  EXPECT_EQ(layers_with_more_bits(50).size(), 25u);
  EXPECT_EQ(layers_with_more_bits(25).size(), 13u);
}

TEST(QuantMix, RulesByName) {
  const auto* bf16 = find_format("bf16");
  const auto* f32 = find_format("f32");
  const std::vector<TensorDeclaration> tensors = {
      {"token_embd.weight", bf16, {256, 512}},
      {"output_norm.weight", bf16, {256}},
      {"per_layer_model_proj.weight", bf16, {256, 512}},
      {"blk.0.ffn_gate_inp.weight", bf16, {256, 8}},
      {"blk.0.ffn_down_exps.scale", f32, {8}},
      {"blk.0.attn_v.weight", bf16, {256, 256}},
      {"blk.0.ffn_down.weight", bf16, {512, 256}},
      {"blk.1.ffn_down.weight", bf16, {512, 256}},
      {"blk.7.ffn_down_exps.weight", bf16, {704, 256, 8}},
      {"blk.1.ffn_gate.weight", bf16, {96, 256}},
      {"blk.1.ffn_up.weight", bf16, {20, 256}},
      {"index.weight", find_format(GgmlType::kI32), {256, 2}},
  };
  EXPECT_EQ(names_of(*find_quant_mix("Q4_K_M"), 8, tensors),
            (std::vector<std::string>{"Q6_K", "F32", "BF16", "F32", "F32", "Q6_K", "Q6_K", "Q4_K", "Q8_0", "Q5_0",
                                      "F16", "I32"}));
  EXPECT_EQ(names_of(*find_quant_mix("q5_k_m"), 8, tensors),
            (std::vector<std::string>{"Q6_K", "F32", "BF16", "F32", "F32", "Q6_K", "Q6_K", "Q5_K", "Q8_0", "Q5_1",
                                      "F16", "I32"}));
  EXPECT_EQ(names_of(*find_quant_mix("q8_0"), 8, tensors)[0], "Q8_0");
  EXPECT_EQ(names_of(*find_quant_mix("q4_0"), 8, tensors)[0], "Q6_K");
  EXPECT_EQ(names_of(*find_quant_mix("bf16"), 8, tensors)[7], "BF16");
}

TEST(QuantMix, AnOutputMatrixIsTheHead) {
  const auto* f16 = find_format("f16");
  const auto names = names_of(*find_quant_mix("q4_k_m"), 1,
                              {{"token_embd.weight", f16, {256, 512}}, {"output.weight", f16, {256, 512}}});
  EXPECT_EQ(names, (std::vector<std::string>{"Q4_K", "Q6_K"}));
}

TEST(QuantMix, EveryWritableFormatHasAName) {
  for (const quant::Format& format : quant::all_formats()) {
    if (!format.quantize) continue;
    std::string name(format.name);
    const auto mix = find_quant_mix(name);
    ASSERT_TRUE(mix.has_value()) << mix.error().message;
    EXPECT_EQ(mix->base, format.type) << name;
  }
  const auto unknown = find_quant_mix("q3_k_l");
  ASSERT_FALSE(unknown.has_value());
  EXPECT_NE(unknown.error().message.find("q4_k_m, q5_k_m"), std::string::npos);
}

TEST(QuantMix, IsOfFormatsThatAreWritten) {
  std::istringstream names(list_quant_mixes());
  for (std::string name; std::getline(names >> std::ws, name, ',');) {
    const auto mix = find_quant_mix(name);
    ASSERT_TRUE(mix) << mix.error().message;
    for (const GgmlType type : {mix->base, mix->more_bits, mix->head}) EXPECT_TRUE(find_format(type)->quantize) << name;
  }
}

// Files made by llama-quantize: ours must choose the same format for every tensor.
TEST(QuantMix, AgreesWithFilesOfLlamaQuantize) {
  SKIP_WITHOUT_SHARED("vectors/gemma4-tiny");
  const std::pair<const char*, const char*> files[] = {{"gemma4-tiny/tiny-q4km.gguf", "q4_k_m"},
                                                       {"gemma4-tiny/tiny-q6k.gguf", "q6_k"},
                                                       {"gemma4-tiny-sharedkv/tiny-q4km.gguf", "q4_k_m"}};
  for (const auto& [path, type] : files) {
    const auto file = gguf::File::open((testing::shared_dir() / "vectors" / path).string());
    ASSERT_TRUE(file.has_value()) << file.error().message;
    std::vector<TensorDeclaration> sources;
    for (const auto& tensor : (*file)->tensors()) sources.push_back({tensor.name, find_format("f32"), tensor.dims});
    const auto n_layers = (*file)->metadata().get_i64("gemma4.block_count").value();
    const auto names = names_of(*find_quant_mix(type), n_layers, sources);
    for (size_t i = 0; i < names.size(); ++i)
      EXPECT_EQ(names[i], (*file)->tensors()[i].format->name) << path << ": " << sources[i].name;
  }
}

}  // namespace
}  // namespace tessera::compile
