#include "compile/quantize_model.h"

#include <gtest/gtest.h>

#include <cmath>

#include "compile/synth.h"
#include "gguf/file.h"
#include "gguf/split_name.h"
#include "gguf/tensor_stream.h"
#include "gguf/writer.h"
#include "test_util.h"

namespace tessera::compile {
namespace {

using testing::TempDir;

std::vector<float> values_of(const gguf::File& file, std::string_view name) {
  std::vector<float> out;
  const auto status = gguf::for_each_tile(file, *file.find(name), {}, [&](const gguf::TensorTile& tile) -> Status {
    out.insert(out.end(), tile.values.begin(), tile.values.end());
    return {};
  });
  EXPECT_TRUE(status.has_value()) << status.error().message;
  return out;
}

double relative_error(const std::vector<float>& a, const std::vector<float>& b) {
  double error = 0, norm = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    error += (a[i] - b[i]) * (a[i] - b[i]);
    norm += a[i] * a[i];
  }
  return std::sqrt(error / norm);
}

class QuantizeModel : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(synth_model(source_, SynthShape(), {.type = "f32", .seed = 3}).has_value()); }
  std::shared_ptr<const gguf::File> quantize(const QuantizeOptions& options, const std::string& name = "out.gguf") {
    const auto status = quantize_model(source_, dir_.file(name), options);
    EXPECT_TRUE(status.has_value()) << status.error().message;
    auto file = gguf::File::open(dir_.file(name));
    EXPECT_TRUE(file.has_value()) << file.error().message;
    return *file;
  }
  std::string error_of(const std::string& in, const QuantizeOptions& options) {
    const auto status = quantize_model(in, dir_.file("failed.gguf"), options);
    EXPECT_FALSE(std::filesystem::exists(dir_.file("failed.gguf")));
    return status ? "succeeded" : status.error().message;
  }
  TempDir dir_;
  const std::string source_ = dir_.file("source.gguf");
};

TEST_F(QuantizeModel, StaysWithinEachFormatsError) {
  const auto source = gguf::File::open(source_).value();
  // Bounds: the reference's relative errors for Gaussian values, which exceed those of the uniform values here.
  const std::pair<const char*, double> types[] = {{"f16", 0.0005}, {"bf16", 0.004}, {"q8_0", 0.006}, {"q6_k", 0.019},
                                                  {"q5_k", 0.037}, {"q4_k", 0.073}, {"q5_0", 0.044}, {"q4_0", 0.088}};
  for (const auto& [type, bound] : types) {
    const auto file = quantize({.type = type});
    for (const char* name : {"blk.0.attn_q.weight", "blk.1.ffn_down.weight"}) {
      EXPECT_EQ(file->find(name)->format, quant::find_format(type));
      const double error = relative_error(values_of(*source, name), values_of(*file, name));
      EXPECT_LT(error, bound) << type;
      EXPECT_GT(error, 0.0) << type;
    }
    EXPECT_EQ(values_of(*source, "blk.0.attn_norm.weight"), values_of(*file, "blk.0.attn_norm.weight"));
    EXPECT_TRUE(gguf::check_scales(*file).has_value());
  }
}

TEST_F(QuantizeModel, UpdatesMetadataAndKeepsTheRest) {
  const auto source = gguf::File::open(source_).value();
  const auto file = quantize({.type = "q4_k_m"});
  EXPECT_EQ(file->metadata().get_u64("general.file_type").value(), 15u);
  EXPECT_EQ(file->metadata().get_u64("general.quantization_version").value(), 2u);
  ASSERT_EQ(file->metadata().entries().size(), source->metadata().entries().size());
  for (const auto& [key, value] : source->metadata().entries()) {
    if (key == "general.file_type") continue;
    EXPECT_EQ(to_string(*file->metadata().find(key), 10000), to_string(value, 10000)) << key;
  }
}

TEST_F(QuantizeModel, ThreadsDoNotChangeBytes) {
  quantize({.type = "q4_k_m", .n_threads = 1}, "one.gguf");
  quantize({.type = "q4_k_m", .n_threads = 3}, "three.gguf");
  EXPECT_EQ(testing::read_file(dir_.file("one.gguf")), testing::read_file(dir_.file("three.gguf")));
}

TEST_F(QuantizeModel, HeadTypeOverridesTheMix) {
  EXPECT_EQ(quantize({.type = "q4_k_m"})->find("token_embd.weight")->format->name, "Q6_K");
  EXPECT_EQ(quantize({.type = "q4_k_m", .head_type = "q4_k"})->find("token_embd.weight")->format->name, "Q4_K");
  EXPECT_NE(error_of(source_, {.head_type = "iq1_s"}).find("head type 'iq1_s'"), std::string::npos);
}

TEST_F(QuantizeModel, RequantizesOnlyWhenAllowed) {
  quantize({.type = "q8_0"}, "q8.gguf");
  const std::string q8 = dir_.file("q8.gguf");
  EXPECT_NE(error_of(q8, {.type = "q4_k_m"}).find("already Q8_0"), std::string::npos);
  // Unchanged formats are copied, which needs no permission.
  ASSERT_TRUE(quantize_model(q8, dir_.file("copy.gguf"), {.type = "q8_0"}).has_value());
  EXPECT_EQ(testing::read_file(q8), testing::read_file(dir_.file("copy.gguf")));
  ASSERT_TRUE(quantize_model(q8, dir_.file("q4.gguf"), {.type = "q4_k_m", .allow_requantize = true}).has_value());
  const auto source = gguf::File::open(source_).value(), file = gguf::File::open(dir_.file("q4.gguf")).value();
  const char* name = "blk.0.attn_q.weight";
  EXPECT_LT(relative_error(values_of(*source, name), values_of(*file, name)), 0.074);
}

TEST_F(QuantizeModel, RefusesWhatItCannotDo) {
  EXPECT_NE(error_of(source_, {.type = "q3_k_m"}).find("q3_k_m"), std::string::npos);
  EXPECT_NE(error_of(dir_.file("absent.gguf"), {}).find("absent.gguf"), std::string::npos);
  const auto onto_itself = quantize_model(source_, source_, {});
  ASSERT_FALSE(onto_itself.has_value());
  EXPECT_NE(onto_itself.error().message.find("its own source"), std::string::npos);
}

TEST_F(QuantizeModel, RefusesImpossibleNumbersOfLayers) {
  for (const uint64_t n_layers : {uint64_t{0}, uint64_t{4097}, uint64_t{INT64_MAX}}) {
    gguf::Metadata metadata;
    metadata.set("general.architecture", gguf::Value("x"));
    metadata.set("x.block_count", gguf::Value(n_layers));
    auto writer = gguf::Writer::create(dir_.file("bad.gguf"), metadata,
                                       {{"blk.0.ffn_down.weight", quant::find_format("f32"), {32, 1}}});
    ASSERT_TRUE(writer.has_value()) << writer.error().message;
    const std::vector<float> values(32, 1.0f);
    ASSERT_TRUE(writer->write(std::as_bytes(std::span(values))).has_value());
    ASSERT_TRUE(writer->commit().has_value());
    const std::string error = error_of(dir_.file("bad.gguf"), {});
    EXPECT_NE(error.find("x.block_count: expected 1 to 4096"), std::string::npos) << error;
  }
}

// A source in three parts: a part is the source as much as the file that names it.
TEST_F(QuantizeModel, RefusesToReplaceAPart) {
  const auto part_path = [&](int number) { return gguf::SplitName{dir_.file("m"), number, 3}.path(); };
  for (int number = 1; number <= 3; ++number) {
    gguf::Metadata metadata;
    metadata.set("split.no", gguf::Value(static_cast<uint16_t>(number - 1)));
    metadata.set("split.count", gguf::Value(uint16_t{3}));
    metadata.set("split.tensors.count", gguf::Value(int32_t{3}));
    auto writer = gguf::Writer::create(part_path(number), metadata,
                                       {{fmt::format("t{}", number), quant::find_format("f32"), {4}}});
    ASSERT_TRUE(writer.has_value()) << writer.error().message;
    const std::vector<float> values(4, 1.0f);
    ASSERT_TRUE(writer->write(std::as_bytes(std::span(values))).has_value());
    ASSERT_TRUE(writer->commit().has_value());
  }
  for (int number = 1; number <= 3; ++number) {
    const auto status = quantize_model(part_path(1), part_path(number), {});
    ASSERT_FALSE(status.has_value());
    EXPECT_NE(status.error().message.find("its own source"), std::string::npos) << status.error().message;
  }
}

TEST_F(QuantizeModel, ReportsProgressToTheEnd) {
  uint64_t last = 0, total = 0;
  ASSERT_TRUE(quantize_model(source_, dir_.file("x.gguf"), {}, [&](uint64_t done, uint64_t all) {
                EXPECT_GT(done, last);
                last = done, total = all;
              }).has_value());
  EXPECT_GT(total, 0u);
  EXPECT_EQ(last, total);
}

}  // namespace
}  // namespace tessera::compile
