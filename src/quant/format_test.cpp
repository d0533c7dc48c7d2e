// Every format against vectors made by ggml, and what the table promises about all of them.
#include "quant/format.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <set>
#include <sstream>

#include "quant/rows.h"
#include "test_util.h"

namespace tessera::quant {
namespace {

using testing::fresh_rng;
using testing::read_array;
using testing::shared_dir;

struct Vector {  // one line of index.csv
  std::string type;
  int id, block_values, block_bytes;
  int64_t n_rows, row_values;
  double rmse;  // of ggml's quantizer on input.f32
};

std::vector<Vector> read_index() {
  std::ifstream in(shared_dir() / "vectors/quant/index.csv");
  std::vector<Vector> out;
  std::string line;
  std::getline(in, line);  // header
  while (std::getline(in, line)) {
    for (char& c : line) c = c == ',' ? ' ' : c;
    std::istringstream fields(line);
    Vector v;
    fields >> v.type >> v.id >> v.block_values >> v.block_bytes >> v.n_rows >> v.row_values >> v.rmse;
    EXPECT_TRUE(fields) << line;
    out.push_back(v);
  }
  EXPECT_GE(out.size(), 27u);
  return out;
}

std::filesystem::path vector_file(const std::string& name) { return shared_dir() / "vectors/quant" / name; }

TEST(Format, DequantizesEveryTypeBitForBitAsGgml) {
  SKIP_WITHOUT_SHARED("vectors/quant/index.csv");
  ThreadPool pool(1);
  for (const Vector& v : read_index()) {
    SCOPED_TRACE(v.type);
    const Format* format = find_format(static_cast<GgmlType>(v.id));
    ASSERT_NE(format, nullptr);
    EXPECT_EQ(find_format(v.type), format);
    EXPECT_EQ(format->block_values, v.block_values);
    EXPECT_EQ(format->block_bytes, v.block_bytes);
    const auto blocks = testing::read_file(vector_file(v.type + ".blocks"));
    const auto expected = read_array<uint32_t>(vector_file(v.type + ".f32"));
    ASSERT_EQ(static_cast<int64_t>(blocks.size()), format->bytes_for(v.n_rows * v.row_values));
    std::vector<float> values(expected.size());
    ASSERT_TRUE(dequantize_rows(*format, blocks.data(), v.n_rows, v.row_values, values.data(), pool));
    for (size_t i = 0; i < values.size(); ++i) {
      ASSERT_EQ(std::bit_cast<uint32_t>(values[i]), expected[i]) << "value " << i << " is " << values[i];
    }
    EXPECT_EQ(find_bad_scale(*format, std::as_bytes(std::span(blocks))), std::nullopt);
  }
}

TEST(Format, QuantizersReachTheErrorOfGgml) {
  SKIP_WITHOUT_SHARED("vectors/quant/index.csv");
  ThreadPool pool(1);
  const auto input = read_array<float>(vector_file("input.f32"));
  std::set<std::string_view> checked;
  for (const Vector& v : read_index()) {
    const Format& format = *find_format(static_cast<GgmlType>(v.id));
    if (!format.quantize) continue;
    std::vector<char> blocks(static_cast<size_t>(format.bytes_for(v.n_rows * v.row_values)));
    std::vector<float> values(input.size());
    ASSERT_TRUE(quantize_rows(format, input.data(), v.n_rows, v.row_values, blocks.data(), pool));
    ASSERT_TRUE(dequantize_rows(format, blocks.data(), v.n_rows, v.row_values, values.data(), pool));
    double squares = 0;
    for (size_t i = 0; i < input.size(); ++i) squares += std::pow(double{values[i]} - double{input[i]}, 2);
    const double rmse = std::sqrt(squares / static_cast<double>(input.size()));
    EXPECT_LE(rmse, v.rmse * (1 + 1e-5)) << v.type;  // index.csv has six digits
    RecordProperty(v.type, fmt::format("{:.6g} of {:.6g}", rmse, v.rmse));
    checked.insert(format.name);
  }
  for (const char* name : {"F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K"}) {
    EXPECT_TRUE(checked.contains(name)) << name;
  }
}

TEST(Format, TableIsConsistent) {
  std::set<uint32_t> types;
  std::set<std::string_view> names;
  for (const Format& f : all_formats()) {
    EXPECT_TRUE(types.insert(static_cast<uint32_t>(f.type)).second) << f.name;
    EXPECT_TRUE(names.insert(f.name).second) << f.name;
    EXPECT_EQ(find_format(f.type), &f);
    EXPECT_EQ(find_format(f.name), &f);
    EXPECT_EQ(find_format(f.kernel_name), &f);
    EXPECT_EQ(f.bytes_for(7 * f.block_values), 7 * f.block_bytes) << f.name;
    EXPECT_TRUE(f.dequantize || !f.quantize) << f.name;
  }
  EXPECT_EQ(types.size(), 35u);  // codes 0..42 without the eight that ggml removed
  for (uint32_t removed : {4u, 5u, 31u, 32u, 33u, 36u, 37u, 38u, 43u, 0xffffffffu}) {
    EXPECT_EQ(find_format(static_cast<GgmlType>(removed)), nullptr) << removed;
  }
}

TEST(Format, FindsNamesInEitherSpellingAndCase) {
  const Format* q4k = find_format(GgmlType::kQ4_K);
  for (const char* name : {"Q4_K", "q4_k", "q4k", "Q4K", "q4_K"}) EXPECT_EQ(find_format(name), q4k) << name;
  for (const char* name : {"", "q4", "q4_k_m", "Q4_K ", "q_4k"}) EXPECT_EQ(find_format(name), nullptr) << name;
}

TEST(Format, ListsNames) {
  EXPECT_EQ(list_formats([](const Format& f) { return f.block_values == 64; }), "NVFP4, Q2_0");
  EXPECT_EQ(list_formats([](const Format&) { return false; }), "");
}

// Any bytes are a block of some value; none may lead out of a table or overflow. Run under the sanitizers.
TEST(Format, DequantizesRandomBytes) {
  auto rng = fresh_rng();
  for (const Format& f : all_formats()) {
    if (!f.dequantize) continue;
    constexpr int64_t kBlocks = 300;
    std::vector<uint8_t> bytes(static_cast<size_t>(kBlocks * f.block_bytes + 1));
    for (uint8_t& b : bytes) b = static_cast<uint8_t>(rng());
    std::vector<float> at_odd_address(static_cast<size_t>(kBlocks * f.block_values)), values(at_odd_address.size());
    f.dequantize(bytes.data() + 1, kBlocks * f.block_values, at_odd_address.data());
    bytes.erase(bytes.begin());
    f.dequantize(bytes.data(), kBlocks * f.block_values, values.data());
    EXPECT_EQ(std::memcmp(values.data(), at_odd_address.data(), values.size() * sizeof(float)), 0) << f.name;
  }
}

TEST(Format, DequantizesExtremeBytes) {
  for (const Format& f : all_formats()) {
    if (!f.dequantize) continue;
    for (int byte : {0x00, 0x7f, 0x80, 0xff}) {
      const std::vector<uint8_t> block(static_cast<size_t>(f.block_bytes), static_cast<uint8_t>(byte));
      std::vector<float> values(static_cast<size_t>(f.block_values));
      f.dequantize(block.data(), f.block_values, values.data());
      if (byte == 0) {
        for (float v : values) EXPECT_TRUE(std::isfinite(v)) << f.name;
      }
    }
  }
}

TEST(Format, FindsBadScales) {
  for (const Format& f : all_formats()) {
    std::vector<std::byte> blocks(static_cast<size_t>(5 * f.block_bytes));
    EXPECT_EQ(find_bad_scale(f, blocks), std::nullopt) << f.name;
    if (!f.find_bad_block) continue;
    const bool has_no_bad_scale = f.type == GgmlType::kNVFP4;  // E4M3 without infinity; its NaN code counts as 0
    std::fill_n(blocks.begin() + 3 * f.block_bytes, f.block_bytes, std::byte{0xff});
    EXPECT_EQ(find_bad_scale(f, blocks), has_no_bad_scale ? std::nullopt : std::optional<int64_t>(3)) << f.name;
  }
  const Format& q4k = *find_format(GgmlType::kQ4_K);
  std::vector<std::byte> blocks(static_cast<size_t>(2 * q4k.block_bytes));
  blocks[static_cast<size_t>(q4k.block_bytes) + 3] = std::byte{0x7c};  // dmin of block 1 is infinite
  EXPECT_EQ(find_bad_scale(q4k, blocks), 1);
}

TEST(Format, RowsRefuseWhatCannotBe) {
  ThreadPool pool(1);
  float values[256] = {};
  char bytes[256];
  const Format& iq1 = *find_format(GgmlType::kIQ1_S);
  const Status unwritable = quantize_rows(iq1, values, 1, 256, bytes, pool);
  ASSERT_FALSE(unwritable);
  EXPECT_EQ(unwritable.error().code, ErrorCode::kNotImplemented);
  EXPECT_NE(unwritable.error().message.find("Q4_K"), std::string::npos);
  const Status opaque = dequantize_rows(*find_format(GgmlType::kI32), bytes, 1, 4, values, pool);
  ASSERT_FALSE(opaque);
  EXPECT_EQ(opaque.error().code, ErrorCode::kNotImplemented);
  const Format& q4k = *find_format(GgmlType::kQ4_K);
  for (int64_t length : {1, 255, 257, 384}) {
    EXPECT_EQ(quantize_rows(q4k, values, 1, length, bytes, pool).error().code, ErrorCode::kInvalidArgument) << length;
  }
  EXPECT_TRUE(quantize_rows(q4k, values, 0, 256, bytes, pool));
}

}  // namespace
}  // namespace tessera::quant
