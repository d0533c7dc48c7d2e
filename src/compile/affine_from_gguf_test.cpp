#include "compile/affine_from_gguf.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "base/float16.h"
#include "ops/mlx_quant.h"
#include "quant/q4_k.h"

namespace tessera::compile {
namespace {

std::vector<std::byte> bytes_of(const program::Data& data) {
  std::vector<std::byte> out;
  EXPECT_TRUE(data.source->produce([&](std::span<const std::byte> piece) -> Status {
    out.insert(out.end(), piece.begin(), piece.end());
    return {};
  }));
  EXPECT_EQ(out.size(), data.size());
  return out;
}

// Rows of a format, quantized from random values, and what they stand for.
struct Sample {
  Sample(const char* format_name, int64_t rows, int64_t columns)
      : format(*quant::find_format(format_name)), shape({rows, columns}), values(static_cast<size_t>(rows * columns)) {
    std::mt19937 random(5);
    std::normal_distribution<float> normal(0.1f, 1.0f);
    for (float& value : values) value = normal(random);
    blocks.resize(static_cast<size_t>(format.bytes_for(rows * columns)));
    format.quantize(values.data(), rows * columns, blocks.data());
    read();
  }
  void read() { format.dequantize(blocks.data(), static_cast<int64_t>(values.size()), values.data()); }
  graph::Weight weight() const { return {.name = "w", .format = &format, .bytes = blocks}; }

  const quant::Format& format;
  Shape shape;
  std::vector<float> values;
  std::vector<std::byte> blocks;
};

// The affine form read back as the array framework reads it.
std::vector<float> read_back(const AffineData& data) {
  const auto tensor = [](DType dtype, Shape shape, const std::vector<std::byte>& bytes) {
    auto out = *ops::Tensor::allocate(dtype, shape);
    EXPECT_EQ(out.n_bytes(), bytes.size());
    std::memcpy(out.as<std::byte>(), bytes.data(), bytes.size());
    return out;
  };
  const Shape groups{data.n, data.k / data.group_size};
  const auto packed = tensor(DType::kU32, {data.n, data.k * data.bits / 32}, bytes_of(data.packed));
  const auto scales = tensor(data.dtype, groups, bytes_of(data.scales));
  auto biases = scales;
  if (data.biases.size() > 0) {
    biases = tensor(data.dtype, groups, bytes_of(data.biases));
  } else {
    biases = *ops::Tensor::allocate(DType::kF32, groups);
    EXPECT_EQ(data.dtype, DType::kF32);
    for (int64_t i = 0; i < biases.n_elements(); ++i)
      biases.as<float>()[i] = -static_cast<float>(1 << (data.bits - 1)) * scales.as<float>()[i];
  }
  const DType f32 = DType::kF32;
  const auto out = ops::dequantize({packed, scales, &biases, data.group_size, data.bits, "affine"}, &f32);
  EXPECT_TRUE(out) << out.error().message;
  return {out->as<float>(), out->as<float>() + out->n_elements()};
}

TEST(AffineFromGguf, InF32TheValuesAreTheBlocks) {
  for (const char* name : {"Q4_K", "Q5_K", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"}) {
    const Sample sample(name, 5, 512);
    const auto data = affine_from_gguf(sample.weight(), sample.shape, DType::kF32);
    ASSERT_TRUE(data) << name;
    EXPECT_EQ(data->group_size, 32) << name;
    const std::vector<float> got = read_back(*data);
    for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], sample.values[i], 1e-6) << name << " " << i;
  }
}

// The offset of a block is rounded once: within half a unit of bf16's last place, 2^-9 of it.
TEST(AffineFromGguf, InBf16ScalesAndOffsetsAreRoundedOnce) {
  const Sample sample("Q4_K", 3, 256);
  const auto exact = affine_from_gguf(sample.weight(), sample.shape, DType::kF32);
  const auto rounded = affine_from_gguf(sample.weight(), sample.shape, DType::kBF16);
  const auto want = bytes_of(exact->biases), got = bytes_of(rounded->biases);
  for (size_t i = 0; i < want.size() / 4; ++i) {
    float bias;
    BF16 bf16;
    std::memcpy(&bias, want.data() + 4 * i, 4);
    std::memcpy(&bf16, got.data() + 2 * i, 2);
    EXPECT_EQ(bf16.bits, to_bf16(bias).bits) << i;
  }
}

// A sub-block whose scale is 0 is a constant; a zero point could not hold it.
TEST(AffineFromGguf, AGroupWithoutAScaleKeepsItsConstant) {
  Sample sample("Q4_K", 1, 256);
  quant::Q4_K block;
  std::memcpy(&block, sample.blocks.data(), sizeof(block));
  block.scales[0] = 0;   // scale of sub-block 0
  block.scales[4] = 21;  // its min
  std::memcpy(sample.blocks.data(), &block, sizeof(block));
  sample.read();
  ASSERT_NE(sample.values[0], 0.0f);
  const std::vector<float> got = read_back(*affine_from_gguf(sample.weight(), sample.shape, DType::kF32));
  for (size_t i = 0; i < 32; ++i) EXPECT_FLOAT_EQ(got[i], sample.values[0]);
}

// Every group alike but one: the row that deviates may be the last of many pieces.
TEST(AffineFromGguf, GroupsMergeWhenEveryRowAgrees) {
  const int64_t rows = 3000, columns = 512;  // three pieces
  Sample sample("Q4_0", rows, columns);
  const auto block = [&](int64_t row, int64_t index) {
    return sample.blocks.data() + row * sample.format.bytes_for(columns) + index * sample.format.block_bytes;
  };
  const F16 d = to_f16(0.5f);
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t index = 0; index < columns / 32; ++index) std::memcpy(block(row, index), &d, 2);
  sample.read();
  const auto merged = affine_from_gguf(sample.weight(), sample.shape, DType::kF32);
  EXPECT_EQ(merged->group_size, 128);
  const std::vector<float> got = read_back(*merged);
  EXPECT_TRUE(std::equal(got.begin(), got.end(), sample.values.begin()));

  const F16 other = to_f16(0.25f);
  std::memcpy(block(rows - 1, 2), &other, 2);  // and its neighbour: pairs still agree
  std::memcpy(block(rows - 1, 3), &other, 2);
  EXPECT_EQ(affine_from_gguf(sample.weight(), sample.shape, DType::kF32)->group_size, 64);
  std::memcpy(block(rows - 1, 3), &d, 2);
  EXPECT_EQ(affine_from_gguf(sample.weight(), sample.shape, DType::kF32)->group_size, 32);
}

TEST(AffineFromGguf, GroupsOf16StayWithTheirKernels) {
  const Sample differ("Q6_K", 2, 512);
  EXPECT_FALSE(affine_from_gguf(differ.weight(), differ.shape, DType::kBF16));
  Sample zeros("Q6_K", 2, 512);
  std::fill(zeros.blocks.begin(), zeros.blocks.end(), std::byte{0});
  const auto merged = affine_from_gguf(zeros.weight(), zeros.shape, DType::kBF16);
  ASSERT_TRUE(merged);
  EXPECT_EQ(merged->group_size, 128);
  EXPECT_EQ(merged->bits, 6);
  EXPECT_EQ(merged->biases.size(), 0u);
}

TEST(AffineFromGguf, OtherFormatsHaveNoGroups) {
  const Sample sample("F16", 2, 256);
  EXPECT_FALSE(affine_from_gguf(sample.weight(), sample.shape, DType::kBF16));
}

}  // namespace
}  // namespace tessera::compile
