#include "gguf/tensor_stream.h"

#include <gtest/gtest.h>

#include "gguf/gguf_testing.h"
#include "gguf/writer.h"

namespace tessera::gguf {
namespace {

using quant::GgmlType;
using testing::contains;
using testing::TempDir;

// Values of one tensor, put together from tiles of either kind.
struct Collected {
  std::vector<std::byte> packed;
  std::vector<float> values;
  int n_tiles = 0;
};

Collected collect(const File& file, const std::string& name, const std::set<GgmlType>& keep) {
  Collected out;
  int64_t next = 0;
  const auto status = for_each_tile(file, *file.find(name), keep, [&](const TensorTile& tile) -> Status {
    EXPECT_EQ(tile.first_value, next);
    next += tile.n_values;
    EXPECT_EQ(tile.is_last(), next == tile.tensor.n_values());
    out.packed.insert(out.packed.end(), tile.packed.begin(), tile.packed.end());
    out.values.insert(out.values.end(), tile.values.begin(), tile.values.end());
    ++out.n_tiles;
    return {};
  });
  EXPECT_TRUE(status.has_value()) << status.error().message;
  EXPECT_EQ(next, file.find(name)->n_values());
  return out;
}

class TensorStream : public ::testing::Test {
 protected:
  // One tensor of Q8_0 with the given dims, random codes, scale 1.
  std::shared_ptr<const File> make_file(const std::vector<int64_t>& dims) {
    const auto* q8_0 = quant::find_format(GgmlType::kQ8_0);
    auto writer = Writer::create(dir_.file("x.gguf"), {}, {{"t", q8_0, dims}});
    EXPECT_TRUE(writer.has_value());
    auto rng = testing::fresh_rng();
    data_.resize(writer->data_bytes());
    for (size_t i = 0; i < data_.size(); ++i) data_[i] = static_cast<std::byte>(rng());
    for (size_t b = 0; b < data_.size(); b += 34) data_[b] = std::byte{0}, data_[b + 1] = std::byte{0x3c};
    EXPECT_TRUE(writer->write(data_).has_value());
    EXPECT_TRUE(writer->commit().has_value());
    auto file = File::open(dir_.file("x.gguf"));
    EXPECT_TRUE(file.has_value());
    return *file;
  }
  TempDir dir_;
  std::vector<std::byte> data_;
};

TEST_F(TensorStream, YieldsPackedBytesOrValues) {
  // Many short rows; rows that do not divide a tile; a row longer than a tile.
  for (const auto& dims : std::vector<std::vector<int64_t>>{{32, 5}, {96, 30000}, {kTileValues + 64, 2}}) {
    const auto file = make_file(dims);
    const Collected packed = collect(*file, "t", {GgmlType::kQ8_0, GgmlType::kF32});
    EXPECT_EQ(packed.packed, data_);
    EXPECT_TRUE(packed.values.empty());
    const Collected values = collect(*file, "t", {GgmlType::kF32});
    EXPECT_TRUE(values.packed.empty());
    std::vector<float> expected(values.values.size());
    quant::find_format(GgmlType::kQ8_0)->dequantize(data_.data(), file->find("t")->n_values(), expected.data());
    EXPECT_EQ(values.values, expected);
    EXPECT_EQ(values.n_tiles, packed.n_tiles);
    EXPECT_EQ(values.n_tiles > 1, file->find("t")->n_values() > kTileValues);
  }
}

TEST_F(TensorStream, AnErrorEndsThePass) {
  const auto file = make_file({96, 30000});
  int calls = 0;
  const auto status = for_each_tensor(*file, {}, [&](const TensorTile&) -> Status {
    ++calls;
    return invalid_argument("enough");
  });
  EXPECT_EQ(status.error().message, "enough");
  EXPECT_EQ(calls, 1);
}

TEST_F(TensorStream, NamesATensorItCannotRead) {
  testing::GgufBytes bytes;
  bytes.header(1, 0).tensor("table", {4}, static_cast<uint32_t>(GgmlType::kI32), 0).data(16);
  const auto file = testing::parse_gguf(bytes.bytes);
  ASSERT_TRUE(file.has_value());
  const auto status = for_each_tensor(**file, {}, [](const TensorTile&) -> Status { return {}; });
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().code, ErrorCode::kNotImplemented);
  EXPECT_TRUE(contains(status.error().message, "'table' is I32"));
  EXPECT_EQ(collect(**file, "table", {GgmlType::kI32}).packed.size(), 16u);
  EXPECT_TRUE(check_scales(**file).has_value());
}

TEST_F(TensorStream, FindsBadScales) {
  const auto good = make_file({96, 30000});
  EXPECT_TRUE(check_scales(*good).has_value());
  testing::GgufBytes bytes;
  bytes.header(1, 0).tensor("w", {64}, static_cast<uint32_t>(GgmlType::kQ8_0), 0).data(68);
  bytes.bytes[bytes.bytes.size() - 34 + 1] = std::byte{0x7c};  // the second block's scale: infinity
  const auto file = testing::parse_gguf(bytes.bytes);
  ASSERT_TRUE(file.has_value());
  EXPECT_TRUE(contains(check_scales(**file).error().message, "tensor 'w': block 1 (Q8_0)"));
}

}  // namespace
}  // namespace tessera::gguf
