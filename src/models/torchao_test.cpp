#include "models/torchao.h"

#include <gtest/gtest.h>

#include <cstring>

#include <nlohmann/json.hpp>

#include "base/float16.h"
#include "quant/affine.h"
#include "safetensors/safetensors_testing.h"
#include "test_util.h"

namespace tessera::models {
namespace {

using nlohmann::json;
using safetensors::ElementType;
using tessera::testing::SafetensorsWriter;
using tessera::testing::TempDir;

constexpr int64_t kN = 3, kK = 8, kGroup = 4, kGroups = kK / kGroup;

std::vector<BF16> bf16s(const std::vector<float>& values) {
  std::vector<BF16> out;
  for (const float v : values) out.push_back(to_bf16(v));
  return out;
}

// A checkpoint of one tensor "layers.0.mlp.up_proj.weight", pieces to be changed one at a time.
struct File {
  json entry;
  SafetensorsWriter writer;

  void add(const char* field, ElementType type, const std::vector<int64_t>& shape, const auto& values) {
    writer.add(fmt::format("layers.0.mlp.up_proj._weight_{}", field), type, shape, std::as_bytes(std::span(values)));
  }
  Result<std::shared_ptr<const quant::AffineMatrix>> read(Int4Zeros zeros = Int4Zeros::kCodes) {
    const std::string name = "layers.0.mlp.up_proj.weight";
    writer.set_metadata("tensor_names", json::array({name}).dump());
    writer.set_metadata(name, entry.dump());
    const TempDir dir;
    writer.write(dir.file("model.safetensors"));
    const auto checkpoint = safetensors::Checkpoint::open(dir.path().string());
    EXPECT_TRUE(checkpoint) << checkpoint.error().message;
    EXPECT_EQ(torchao_names(*checkpoint).value(), std::vector<std::string>{name});
    return torchao_matrix(*checkpoint, name, zeros);
  }
  std::string error(Int4Zeros zeros = Int4Zeros::kCodes) {
    const auto matrix = read(zeros);
    return matrix ? "no error" : matrix.error().message;
  }
};

// scale[n][g] = (1 + n + 3 g) / 8, stored (groups, N)
float scale_of(int64_t n, int64_t g) { return static_cast<float>(1 + n + 3 * g) / 8; }

File int4_file(float first_zero = 7) {
  File file;
  file.entry = {{"_type", "Int4Tensor"},
                {"_data", {{"block_size", {1, kGroup}}, {"shape", {kN, kK}}}},
                {"_tensor_data_names", {"qdata", "scale", "zero_point"}}};
  std::vector<uint8_t> bytes;
  for (int64_t i = 0; i < kN * kK / 2; ++i) bytes.push_back(static_cast<uint8_t>((2 * i % 16) | (2 * i + 1) % 16 << 4));
  std::vector<float> scales, zeros;
  for (int64_t g = 0; g < kGroups; ++g)
    for (int64_t n = 0; n < kN; ++n) {
      scales.push_back(scale_of(n, g));
      zeros.push_back(first_zero + static_cast<float>(n) * 0.5f + static_cast<float>(g));
    }
  file.add("qdata", ElementType::kU8, {kN, kK / 2}, bytes);
  file.add("scale", ElementType::kBF16, {kGroups, kN}, bf16s(scales));
  file.add("zero_point", ElementType::kBF16, {kGroups, kN}, bf16s(zeros));
  return file;
}

TEST(Torchao, Int4WithZerosInTheDomainOfCodes) {
  const auto matrix = int4_file().read();
  ASSERT_TRUE(matrix) << matrix.error().message;
  const auto& shape = (*matrix)->shape();
  EXPECT_EQ(shape, (quant::AffineShape{kN, kK, 4, kGroup, false}));
  const auto rows = (*matrix)->rows(1, 3);
  ASSERT_TRUE(rows) << rows.error().message;
  const std::vector<float> values = dequantize(*rows, shape);
  for (int64_t n = 1; n < 3; ++n)
    for (int64_t k = 0; k < kK; ++k) {
      const int64_t g = k / kGroup;
      const float code = static_cast<float>((n * kK + k) % 16);
      const float zero = 7 + static_cast<float>(n) * 0.5f + static_cast<float>(g);
      EXPECT_EQ(values[static_cast<size_t>((n - 1) * kK + k)], scale_of(n, g) * (code - zero)) << n << " " << k;
    }
}

TEST(Torchao, Int4WithZerosInTheDomainOfValues) {
  const auto matrix = int4_file(0.25f).read(Int4Zeros::kValues);
  ASSERT_TRUE(matrix) << matrix.error().message;
  const auto rows = (*matrix)->rows(0, kN);
  const std::vector<float> values = dequantize(*rows, (*matrix)->shape());
  for (int64_t n = 0; n < kN; ++n)
    for (int64_t k = 0; k < kK; ++k) {
      const int64_t g = k / kGroup, nibble = (n * kK + k) % 16;
      const float code = static_cast<float>(nibble < 8 ? nibble : nibble - 16);  // two's complement
      const float zero = 0.25f + static_cast<float>(n) * 0.5f + static_cast<float>(g);
      EXPECT_NEAR(values[static_cast<size_t>(n * kK + k)], code * scale_of(n, g) + zero, 1e-5) << n << " " << k;
    }
}

TEST(Torchao, ZerosThatAreNoCodesAreNoticed) {
  EXPECT_NE(int4_file(-1).error().find("--int4-zeros values"), std::string::npos) << int4_file(-1).error();
}

File intx_file(const char* target = "int8") {
  File file;
  file.entry = {{"_type", "IntxUnpackedToInt8Tensor"},
                {"_data",
                 {{"target_dtype", {{"_type", "torch.dtype"}, {"_data", target}}},
                  {"block_size", {1, kGroup}},
                  {"dtype", {{"_type", "torch.dtype"}, {"_data", "bfloat16"}}},
                  {"activation_quantization", nullptr}}},
                {"_tensor_data_names", {"qdata", "scale", "zero_point"}}};
  return file;
}
void add_pieces(File& file, const std::vector<int8_t>& zeros, int8_t first_code = -12) {
  std::vector<int8_t> codes;
  for (int64_t i = 0; i < kN * kK; ++i) codes.push_back(static_cast<int8_t>(first_code + i));
  std::vector<float> scales;
  for (int64_t n = 0; n < kN; ++n)
    for (int64_t g = 0; g < kGroups; ++g) scales.push_back(scale_of(n, g));
  file.add("qdata", ElementType::kI8, {kN, kK}, codes);
  file.add("scale", ElementType::kBF16, {kN, kGroups}, bf16s(scales));
  file.add("zero_point", ElementType::kI8, {kN, kGroups}, zeros);
}

TEST(Torchao, Int8WithAndWithoutZeroPoints) {
  for (const auto zero : {int8_t{0}, int8_t{3}}) {
    File file = intx_file();
    add_pieces(file, std::vector<int8_t>(kN * kGroups, zero));
    const auto matrix = file.read();
    ASSERT_TRUE(matrix) << matrix.error().message;
    EXPECT_EQ((*matrix)->shape().is_centered, zero == 0);
    const auto rows = (*matrix)->rows(0, kN);
    const std::vector<float> values = dequantize(*rows, (*matrix)->shape());
    for (int64_t n = 0; n < kN; ++n)
      for (int64_t k = 0; k < kK; ++k)
        EXPECT_EQ(values[static_cast<size_t>(n * kK + k)],
                  scale_of(n, k / kGroup) * static_cast<float>(-12 + n * kK + k - zero));
  }
}

TEST(Torchao, CodesMustFitTheirBits) {
  File file = intx_file("int4");
  add_pieces(file, std::vector<int8_t>(kN * kGroups, 0));
  const auto matrix = file.read();
  ASSERT_TRUE(matrix) << matrix.error().message;
  const auto rows = (*matrix)->rows(0, kN);
  ASSERT_FALSE(rows);
  EXPECT_NE(rows.error().message.find("code -12 of row 0 does not fit 4 bits"), std::string::npos);
}

TEST(Torchao, RefusesWhatItCannotRead) {
  const auto changed = [](const char* pointer, const char* value) {
    File file = int4_file();
    file.entry[json::json_pointer(pointer)] = json::parse(value);
    return file.error();
  };
  EXPECT_NE(changed("/_type", "\"Float8Tensor\"").find("class Float8Tensor; supported"), std::string::npos);
  EXPECT_NE(changed("/_data/shape", "[2, 3, 8]").find("only matrices"), std::string::npos);
  EXPECT_NE(changed("/_data/block_size", "[1, 3]").find("rows of whole groups"), std::string::npos);
  EXPECT_NE(changed("/_data/block_size", "[2, 4]").find("rows of whole groups"), std::string::npos);
  EXPECT_NE(changed("/_data/shape", "[3, 16]").find("_weight_qdata is U8 [3, 4], expected [3, 8]"), std::string::npos);
  EXPECT_NE(changed("/_data", "3").find("\"_data\": expected an object"), std::string::npos);

  File scaled = int4_file();
  scaled.add("act_pre_scale", ElementType::kBF16, {kK}, std::vector<BF16>(kK));
  EXPECT_NE(scaled.error().find("act_pre_scale"), std::string::npos);
  File missing = intx_file();
  EXPECT_NE(missing.error().find("_weight_qdata is missing"), std::string::npos);
  File activations = intx_file();
  activations.entry["_data"]["activation_quantization"] = "int8_asym_per_token";
  EXPECT_NE(activations.error().find("quantizes activations"), std::string::npos);
  EXPECT_NE(intx_file("int3").error().find("target_dtype int3"), std::string::npos);
  File infinite = intx_file();
  add_pieces(infinite, std::vector<int8_t>(kN * kGroups, 0));
  const uint16_t inf = 0x7f80;
  const size_t scale_at = infinite.writer.header()["layers.0.mlp.up_proj._weight_scale"]["data_offsets"][0];
  std::memcpy(infinite.writer.data().data() + scale_at, &inf, sizeof(inf));
  EXPECT_NE((*infinite.read())->rows(0, 1).error().message.find("infinite"), std::string::npos);
}

}  // namespace
}  // namespace tessera::models
