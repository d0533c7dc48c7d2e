#include "models/hf_source.h"

#include "graph/text.h"
#include "models/hf_config.h"
#include "models/hf_testing.h"
#include "models/model.h"
#include "models/weight_source.h"
#include "test_util.h"

namespace tessera::models {
namespace {

using nlohmann::json;
using safetensors::ElementType;
using tessera::testing::Gemma4Shape;
using tessera::testing::HfMatrix;
using tessera::testing::HfModel;
using tessera::testing::SafetensorsWriter;
using tessera::testing::TempDir;

constexpr Gemma4Shape kTiny = {
    .hidden = 64, .layers = 4, .heads = 2, .head_dim = 32, .head_dim_full = 64, .ffn = 96, .vocab = 300};

std::string error_of(const TempDir& dir, const HfOptions& options = {}) {
  const auto source = HfSource::open(dir.path().string(), options);
  if (!source) return source.error().message;
  const auto model = build_model(**source, {});
  return model ? "no error" : model.error().message;
}

TEST(HfSource, IsTheModelThatTheGgufIs) {
  const TempDir dir;
  const HfModel model(kTiny);
  model.write(dir.path().string());
  model.write_gguf(dir.file("m.gguf"), model.tensors);
  const auto source = HfSource::open(dir.path().string(), {.recipe = Recipe::kNone});
  ASSERT_TRUE(source) << source.error().message;
  const auto file = gguf::File::open(dir.file("m.gguf"));
  ASSERT_TRUE(file) << file.error().message;
  const auto ours = build_model(**source, {.dtype = DType::kF32}), theirs = build_model(**file, {.dtype = DType::kF32});
  ASSERT_TRUE(ours) << ours.error().message;
  ASSERT_TRUE(theirs) << theirs.error().message;
  EXPECT_TRUE(ours->warnings.empty()) << first_few(ours->warnings);
  EXPECT_EQ(ours->context_length, theirs->context_length);
  EXPECT_EQ(ours->vocab_size, 300);
  // The same graph, but for the weights' formats.
  std::string text = graph::print(ours->graph), expected = graph::print(theirs->graph);
  for (size_t at; (at = text.find(" BF16\n")) != std::string::npos;) text.replace(at, 6, " F32\n");
  EXPECT_EQ(text, expected);
}

TEST(HfSource, RecipesQuantizeMatricesAndLeaveNormsAlone) {
  const TempDir dir;
  HfModel(kTiny).write(dir.path().string());
  const auto shape_of = [&](Recipe recipe, const char* name) {
    const auto source = HfSource::open(dir.path().string(), {.recipe = recipe});
    EXPECT_TRUE(source) << source.error().message;
    const auto tensor = (*source)->find(name);
    EXPECT_TRUE(tensor.has_value()) << name;
    return tensor->affine ? fmt::format("int{}/{}", tensor->affine->shape().bits, tensor->affine->shape().group_size)
                          : std::string(tensor->format->name);
  };
  EXPECT_EQ(shape_of(Recipe::kDefault, "token_embd.weight"), "int8/64");
  EXPECT_EQ(shape_of(Recipe::kDefault, "output.weight"), "int4/32");
  EXPECT_EQ(shape_of(Recipe::kDefault, "blk.0.ffn_down.weight"), "int4/32");
  EXPECT_EQ(shape_of(Recipe::kDefault, "blk.0.attn_norm.weight"), "BF16");
  EXPECT_EQ(shape_of(Recipe::kDefault, "output_norm.weight"), "BF16");
  EXPECT_EQ(shape_of(Recipe::kSensitive, "blk.0.ffn_down.weight"), "int8/32");
  EXPECT_EQ(shape_of(Recipe::kSensitive, "blk.0.attn_v.weight"), "int8/32");
  EXPECT_EQ(shape_of(Recipe::kSensitive, "blk.0.ffn_up.weight"), "int4/32");
  EXPECT_EQ(shape_of(Recipe::kSensitive, "blk.1.ffn_down.weight"), "int4/32");
  EXPECT_EQ(shape_of(Recipe::kSensitive, "blk.3.ffn_down.weight"), "int8/32");
}

TEST(Recipe, LayersOfTheLargeModel) {
  const auto bits = [](const char* name) { return rule_for(Recipe::kSensitive, name, 60)->bits; };
  EXPECT_EQ(bits("layers.0.self_attn.v_proj.weight"), 8);
  EXPECT_EQ(bits("layers.14.mlp.down_proj.weight"), 8);
  EXPECT_EQ(bits("layers.15.mlp.down_proj.weight"), 4);
  EXPECT_EQ(bits("layers.44.mlp.down_proj.weight"), 4);
  EXPECT_EQ(bits("layers.45.mlp.down_proj.weight"), 8);
  EXPECT_EQ(bits("layers.58.self_attn.v_proj.weight"), 8);
  EXPECT_EQ(bits("layers.58.self_attn.k_proj.weight"), 4);
  EXPECT_EQ(bits("lm_head.weight"), 4);
  EXPECT_FALSE(rule_for(Recipe::kSensitive, "layers.3.self_attn.q_norm.weight", 60));
  EXPECT_FALSE(rule_for(Recipe::kNone, "lm_head.weight", 60));
  EXPECT_FALSE(parse_recipe("best"));
}

TEST(HfConfig, SaysWhatItCannotRead) {
  struct Case {
    const char *pointer, *value, *expected;
  };
  const Case cases[] = {
      {"/text_config/model_type", "\"gemma3_text\"", "model_type \"gemma3_text\"; supported"},
      {"/text_config/hidden_size", "\"64\"", "\"hidden_size\": expected an integer, found string"},
      {"/text_config/hidden_size", "null", "\"hidden_size\" is not there"},
      {"/text_config/hidden_size", "-1", "\"hidden_size\" is -1"},
      {"/text_config/hidden_size", "18446744073709551615", "\"hidden_size\": 18446744073709551615 does not fit"},
      {"/text_config/num_kv_shared_layers", "-9223372036854775808", "\"num_kv_shared_layers\" is -9223372036854775808"},
      {"/text_config/intermediate_size", "9223372036854775807", "\"intermediate_size\" is 9223372036854775807"},
      {"/text_config/num_key_value_heads", "9223372036854775807", "\"num_key_value_heads\" is 9223372036854775807"},
      {"/text_config/rope_parameters/full_attention", "3", "\"full_attention\": expected an object"},
      {"/text_config/rope_parameters/full_attention/partial_rotary_factor", "2.0", "\"partial_rotary_factor\" is 2"},
      {"/text_config/layer_types", "[\"full_attention\"]", "\"layer_types\" has 1 entries"},
      {"/text_config/layer_types/0", "\"linear_attention\"", "linear_attention; supported"},
      {"/text_config/final_logit_softcapping", "null", "is null; only models that cap"},
      {"/text_config/enable_moe_block", "true", "\"num_experts\" is not there"},
      {"/text_config/hidden_size_per_layer_input", "256", "per-layer embeddings"},
      {"/text_config/global_head_dim", "2000000000", "expected 2 to 65536"},
  };
  const HfModel model(kTiny);
  for (const Case& c : cases) {
    const TempDir dir;
    model.write(dir.path().string());
    json config = model.config();
    config[json::json_pointer(c.pointer)] = json::parse(c.value);
    HfModel::put(dir.file("config.json"), config);
    const std::string message = error_of(dir);
    EXPECT_NE(message.find(c.expected), std::string::npos) << c.pointer << ": " << message;
    EXPECT_NE(message.find(dir.path().filename().string()), std::string::npos) << message;
  }
  const TempDir empty;
  EXPECT_NE(error_of(empty).find("config.json"), std::string::npos);
}

TEST(HfSource, NamesTensorsThatAreMissingOrUnknown) {
  HfModel model(kTiny);
  model.tensors.erase("layers.2.mlp.up_proj.weight");
  model.tensors["layers.2.mlp.extra.weight"] = {{1}, {0}};
  const TempDir dir;
  model.write(dir.path().string());
  EXPECT_NE(error_of(dir).find("blk.2.ffn_up.weight"), std::string::npos) << error_of(dir);
  model.tensors["layers.2.mlp.up_proj.weight"] = HfModel(kTiny).tensors["layers.2.mlp.up_proj.weight"];
  model.write(dir.path().string());
  const auto source = HfSource::open(dir.path().string(), {});
  const auto built = build_model(**source, {});
  ASSERT_TRUE(built) << built.error().message;
  ASSERT_EQ(built->warnings.size(), 1u);
  EXPECT_NE(built->warnings[0].find("layers.2.mlp.extra.weight"), std::string::npos);
}

TEST(HfTokenizer, BecomesGgufMetadata) {
  const TempDir dir;
  const HfModel model(kTiny);
  model.write(dir.path().string());
  HfModel::put(dir.file("generation_config.json"), {{"temperature", 0.5}, {"top_k", 7}});
  HfModel::put(dir.file("tokenizer_config.json"), {{"chat_template", "{{ bos }}"}});
  const auto source = HfSource::open(dir.path().string(), {});
  ASSERT_TRUE(source) << source.error().message;
  const gguf::Metadata& metadata = (*source)->metadata();
  EXPECT_EQ(*metadata.get_string("tokenizer.ggml.model"), "gemma4");
  const auto tokens = *metadata.get_string_array("tokenizer.ggml.tokens");
  const auto types = *metadata.get_int_array("tokenizer.ggml.token_type");
  ASSERT_EQ(tokens.size(), 300u);
  EXPECT_EQ(tokens[2], "<bos>");
  EXPECT_EQ(types[2], 3);
  EXPECT_EQ(tokens[6 + 0x41], "<0x41>");
  EXPECT_EQ(types[6 + 0x41], 6);
  EXPECT_EQ(tokens[263], "a");
  EXPECT_EQ(types[263], 1);
  EXPECT_EQ((*metadata.get_string_array("tokenizer.ggml.merges"))[1], "\u2581 ab");
  EXPECT_EQ(*metadata.get_f32("general.sampling.temp"), 0.5f);
  EXPECT_EQ(*metadata.get_i64("general.sampling.top_k"), 7);
  EXPECT_EQ(*metadata.get_string("tokenizer.chat_template"), "{{ bos }}");
}

TEST(HfTokenizer, TheNormalizerMayBeASequenceOfOne) {
  json tokenizer = HfModel(kTiny).tokenizer();
  tokenizer["normalizer"] = {{"type", "Sequence"}, {"normalizers", json::array({tokenizer["normalizer"]})}};
  gguf::Metadata metadata;
  const Status status = parse_hf_tokenizer(tokenizer.dump(), "tokenizer.json", metadata);
  EXPECT_TRUE(status) << status.error().message;
}

TEST(HfTokenizer, RefusesOtherKindsAndDamage) {
  struct Case {
    const char *pointer, *value, *expected;
  };
  // A sequence in a sequence: deep enough, it would overflow the stack of whoever follows it down.
  const std::string replace = R"({"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"})",
                    sequence = R"({"type": "Sequence", "normalizers": [)",
                    nested = sequence + sequence + replace + "]}]}";
  const Case cases[] = {
      {"/model/type", "\"Unigram\"", "type Unigram"},
      {"/model/byte_fallback", "false", "byte_fallback false"},
      {"/normalizer", "{\"type\": \"NFKC\"}", "supported: BPE with byte_fallback whose normalizer"},
      {"/model/merges/0", "[\"a\"]", "entry 0 is not a pair"},
      {"/model/vocab/a", "\"x\"", "\"a\" is not an id"},
      {"/model/vocab/a", "3", "id 3 is both"},
      {"/model/vocab/a", "-3", "has id -3"},
      {"/model/vocab/a", "305", "there is no token 263"},
      {"/model/vocab/a", "16777215", "has id 16777215, the file has 306 tokens"},
      {"/model/vocab/a", "18446744073709551615", "\"a\" is not an id"},
      {"/added_tokens/0/id", "18446744073709551615", "\"id\": 18446744073709551615 does not fit"},
      {"/normalizer", nested.c_str(), "supported: BPE with byte_fallback whose normalizer"},
      {"/added_tokens/0/id", "null", "\"id\" is not there"},
      {"/added_tokens", "{}", "\"added_tokens\": expected an array"},
  };
  const HfModel model(kTiny);
  for (const Case& c : cases) {
    const TempDir dir;
    model.write(dir.path().string());
    json tokenizer = model.tokenizer();
    tokenizer[json::json_pointer(c.pointer)] = json::parse(c.value);
    HfModel::put(dir.file("tokenizer.json"), tokenizer);
    EXPECT_NE(error_of(dir).find(c.expected), std::string::npos) << c.pointer << ": " << error_of(dir);
  }
}

TEST(HfNames, EveryNameOfTheTable) {
  EXPECT_EQ(gguf_name("embed_tokens.weight"), "token_embd.weight");
  EXPECT_EQ(gguf_name("norm.weight"), "output_norm.weight");
  EXPECT_EQ(gguf_name("lm_head.weight"), "output.weight");
  EXPECT_EQ(gguf_name("layers.12.layer_scalar"), "blk.12.layer_output_scale.weight");
  EXPECT_EQ(gguf_name("layers.0.pre_feedforward_layernorm.weight"), "blk.0.ffn_norm.weight");
  EXPECT_EQ(gguf_name("layers.0.post_feedforward_layernorm.weight"), "blk.0.post_ffw_norm.weight");
  for (const char* unknown : {"layers.x.layer_scalar", "layers.", "layers.0", "layers..layer_scalar", "head.weight"})
    EXPECT_EQ(gguf_name(unknown), "") << unknown;
  for (const char* name :
       {"norm.weight", "model.norm.weight", "language_model.model.norm.weight", "model.language_model.norm.weight"})
    EXPECT_EQ(without_prefix(name), "norm.weight");
}

}  // namespace
}  // namespace tessera::models
