// Hugging Face folders from safetensors to logits: the exported program against a GGUF file that holds the same numbers
// as F32.
#include "compile/compile.h"
#include "model_testing.h"
#include "models/hf_source.h"
#include "models/hf_testing.h"
#include "models/torchao.h"
#include "program/pte_loader.h"
#include "program/pte_writer.h"

namespace tessera {
namespace {

using models::HfOptions;
using models::HfSource;
using models::Recipe;
using nlohmann::json;
using safetensors::ElementType;
using testing::Gemma4Shape;
using testing::HfMatrix;
using testing::HfModel;
using testing::SafetensorsWriter;
using testing::TempDir;

constexpr Gemma4Shape kTiny = {.hidden = 128,
                               .layers = 4,
                               .heads = 2,
                               .head_dim = 32,
                               .head_dim_full = 64,
                               .kv_heads = 2,
                               .kv_heads_full = 1,
                               .ffn = 192,
                               .window = 8,
                               .vocab = 320,
                               .context = 64};
const std::vector<int32_t> kTokens = {2, 263, 264, 17, 100, 300, 5, 77, 12, 13, 14, 15};

std::vector<float> logits_of(program::Program program) {
  auto session = testing::make_session(testing::make_model(std::move(program), {.n_threads = 1, .exact = true}));
  return testing::run_tokens(*session, kTokens, 5);
}

// Written and loaded again, as a user would.
program::Program exported(const std::string& folder, const HfOptions& options) {
  const auto source = HfSource::open(folder, options);
  EXPECT_TRUE(source) << source.error().message;
  std::vector<std::string> warnings;
  const auto program = compile::compile_model(**source, {.dtype = DType::kF32, .prefill_chunk = 8}, &warnings);
  EXPECT_TRUE(program) << program.error().message;
  EXPECT_TRUE(warnings.empty()) << warnings[0];
  const TempDir dir;
  const Status status = program::write_pte(*program, dir.file("m.pte"), {});
  EXPECT_TRUE(status) << status.error().message;
  auto loaded = program::load_pte(dir.file("m.pte"));
  EXPECT_TRUE(loaded) << loaded.error().message;
  return std::move(*loaded);
}

program::Program of_gguf(const HfModel& model, const std::map<std::string, HfMatrix>& values) {
  const TempDir dir;
  model.write_gguf(dir.file("m.gguf"), values);
  auto file = gguf::File::open(dir.file("m.gguf"));
  EXPECT_TRUE(file) << file.error().message;
  auto program = compile::compile_gguf(*file, {.dtype = DType::kF32, .prefill_chunk = 8});
  EXPECT_TRUE(program) << program.error().message;
  return std::move(*program);
}

// The model's tensors with what the source makes of them, read independently of the program: scale * (code - zero).
std::map<std::string, HfMatrix> dequantized(const HfModel& model, const std::string& folder, const HfOptions& options) {
  const auto source = HfSource::open(folder, options);
  EXPECT_TRUE(source) << source.error().message;
  std::map<std::string, HfMatrix> out = model.tensors;
  if (!out.contains("lm_head.weight")) out["lm_head.weight"] = out["embed_tokens.weight"];
  for (auto& [name, matrix] : out) {
    const auto stored = (*source)->find(models::gguf_name(name));
    EXPECT_TRUE(stored.has_value()) << name;
    if (!stored->affine) continue;
    const auto rows = stored->affine->rows(0, stored->affine->shape().n);
    EXPECT_TRUE(rows) << rows.error().message;
    matrix.values = quant::dequantize(*rows, stored->affine->shape());
  }
  return out;
}

TEST(HuggingFaceFolder, PlainWeightsGiveTheLogitsOfTheGguf) {
  const TempDir dir;
  const HfModel model(kTiny);
  model.write(dir.path().string());
  const auto expected = logits_of(of_gguf(model, model.tensors));
  const auto found = logits_of(exported(dir.path().string(), {.recipe = Recipe::kNone}));
  EXPECT_LT(testing::relative_error(found, expected), 1e-6);
}

TEST(HuggingFaceFolder, RecipesGiveTheLogitsOfTheirDequantizedWeights) {
  const TempDir dir;
  const HfModel model(kTiny);
  model.write(dir.path().string());
  const auto original = logits_of(of_gguf(model, model.tensors));
  for (const Recipe recipe : {Recipe::kDefault, Recipe::kSensitive}) {
    const HfOptions options{.recipe = recipe};
    const auto expected = logits_of(of_gguf(model, dequantized(model, dir.path().string(), options)));
    const auto found = logits_of(exported(dir.path().string(), options));
    EXPECT_LT(testing::relative_error(found, expected), 1e-5);
    // Random weights are the worst case for 4 bits; the logits are still recognisably the model's.
    const double loss = testing::relative_error(found, original);
    EXPECT_GT(loss, 1e-4);
    EXPECT_LT(loss, 0.5);
  }
}

// --- torchao ---

json dtype_json(const char* name) { return {{"_type", "torch.dtype"}, {"_data", name}}; }

// Stores one matrix as torchao would, quantized by our own quantizer.
void add_quantized(SafetensorsWriter& writer, const std::string& name, const HfMatrix& matrix, bool int8) {
  const int64_t n = matrix.shape[0], k = matrix.shape[1], group = 32, n_groups = k / group;
  const auto quantized =
      quant::quantized({quant::find_format("F32"), std::as_bytes(std::span(matrix.values)), nullptr, nullptr, n, k},
                       {.bits = int8 ? 8 : 4, .group_size = group, .symmetric = int8});
  const auto rows = (*quantized)->rows(0, n).value();
  const std::string base = name.substr(0, name.rfind('.') + 1) + "_weight_";
  std::vector<uint8_t> data;
  std::vector<BF16> scales(static_cast<size_t>(n * n_groups)), zeros(scales.size());
  for (int64_t row = 0; row < n; ++row)
    for (int64_t g = 0; g < n_groups; ++g) {
      const auto from = static_cast<size_t>(row * n_groups + g);
      const auto to = int8 ? from : static_cast<size_t>(g * n + row);  // int4 parameters are stored turned
      scales[to] = to_bf16(rows.scales[from]);
      zeros[to] = to_bf16(rows.zeros[from]);
    }
  json entry = {{"_data", {{"block_size", {1, group}}}}, {"_tensor_data_names", {"qdata", "scale", "zero_point"}}};
  if (int8) {
    for (const uint8_t code : rows.codes) data.push_back(static_cast<uint8_t>(code - 128));
    const std::vector<int8_t> none(scales.size(), 0);
    writer.add(base + "qdata", ElementType::kI8, {n, k}, std::as_bytes(std::span(data)));
    writer.add(base + "scale", ElementType::kBF16, {n, n_groups}, std::as_bytes(std::span(scales)));
    writer.add(base + "zero_point", ElementType::kI8, {n, n_groups}, std::as_bytes(std::span(none)));
    entry["_type"] = "IntxUnpackedToInt8Tensor";
    entry["_data"].update({{"target_dtype", dtype_json("int8")}, {"dtype", dtype_json("bfloat16")}});
  } else {
    for (size_t i = 0; i < rows.codes.size(); i += 2)
      data.push_back(static_cast<uint8_t>(rows.codes[i] | rows.codes[i + 1] << 4));
    writer.add(base + "qdata", ElementType::kU8, {n, k / 2}, std::as_bytes(std::span(data)));
    writer.add(base + "scale", ElementType::kBF16, {n_groups, n}, std::as_bytes(std::span(scales)));
    writer.add(base + "zero_point", ElementType::kBF16, {n_groups, n}, std::as_bytes(std::span(zeros)));
    entry["_type"] = "Int4Tensor";
    entry["_data"].update({{"shape", {n, k}}});
  }
  writer.set_metadata(name, entry.dump());
}

TEST(TorchaoCheckpoint, GivesTheLogitsOfItsDequantizedWeights) {
  const TempDir dir;
  HfModel model(kTiny);
  model.tensors["lm_head.weight"] = HfModel(kTiny, 9).tensors["embed_tokens.weight"];
  HfModel::put(dir.file("config.json"), model.config());
  HfModel::put(dir.file("tokenizer.json"), model.tokenizer());
  SafetensorsWriter writer;
  json names = json::array();
  for (const auto& [name, matrix] : model.tensors) {
    names.push_back(name);
    const bool int8 = name == "embed_tokens.weight" || name.ends_with("down_proj.weight");
    if (matrix.shape.size() == 2) {
      add_quantized(writer, name, matrix, int8);
    } else {
      HfModel::add_bf16(writer, name, matrix);
      writer.set_metadata(name, json{{"_type", "Tensor"}}.dump());
    }
  }
  writer.set_metadata("tensor_names", names.dump());
  writer.write(dir.file("model.safetensors"));

  const auto expected = logits_of(of_gguf(model, dequantized(model, dir.path().string(), {})));
  const auto found = logits_of(exported(dir.path().string(), {}));
  EXPECT_LT(testing::relative_error(found, expected), 1e-5);
}

}  // namespace
}  // namespace tessera
