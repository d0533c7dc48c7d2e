// Conversions of one generated block per format, against values and checksums computed by an independent program and
// confirmed with ggml's own decoders.
#include "quant/convert.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "base/float16.h"
#include "quant/group_codes.h"
#include "quant/q4_k.h"
#include "quant/q5_k.h"
#include "quant/q6_k.h"
#include "test_util.h"

namespace tessera::quant {
namespace {

// CRC32 of zlib.
uint32_t crc32(const void* data, size_t size) {
  uint32_t crc = ~0u;
  for (size_t i = 0; i < size; ++i) {
    crc ^= static_cast<const uint8_t*>(data)[i];
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
  }
  return ~crc;
}
template <typename T>
uint32_t crc32(const std::vector<T>& values) {
  return crc32(values.data(), values.size() * sizeof(T));
}

constexpr uint8_t kScaleBytes[12] = {0x21, 0x53, 0x8a, 0xc7, 0x05, 0x48, 0x9f, 0xe2, 0x37, 0x64, 0xb1, 0x0c};

template <typename Block>
Block affine_block() {
  Block block;
  block.d.bits = 0x2266;
  block.dmin.bits = 0x2532;
  std::memcpy(block.scales, kScaleBytes, 12);
  for (int i = 0; i < 128; ++i) block.qs[i] = static_cast<uint8_t>(37 * i + 11);
  if constexpr (requires { block.qh; }) {
    for (int i = 0; i < 32; ++i) block.qh[i] = static_cast<uint8_t>(91 * i + 5);
  }
  return block;
}

Q6_K q6_k_block() {
  Q6_K block;
  for (int i = 0; i < 128; ++i) block.ql[i] = static_cast<uint8_t>(73 * i + 19);
  for (int i = 0; i < 64; ++i) block.qh[i] = static_cast<uint8_t>(29 * i + 7);
  for (int i = 0; i < 16; ++i) block.scales[i] = static_cast<int8_t>(13 * i - 90);
  block.d.bits = 0x11bc;
  return block;
}

template <typename Block>
std::span<const std::byte> bytes_of(const Block& block) {
  return std::as_bytes(std::span(&block, 1));
}

const Format& format_of(GgmlType type) { return *find_format(type); }

std::vector<float> exact(GgmlType type, std::span<const std::byte> blocks) {
  std::vector<float> out(blocks.size() / static_cast<size_t>(format_of(type).block_bytes) * 256);
  format_of(type).dequantize(blocks.data(), static_cast<int64_t>(out.size()), out.data());
  return out;
}

std::vector<uint16_t> bits_of(const ParamArray& params) {
  std::vector<uint16_t> out(params.bytes.size() / 2);
  std::memcpy(out.data(), params.bytes.data(), params.bytes.size());
  return out;
}

// Checksums of the bytes, the codes, and the values in f32 and bf16.
void expect_crcs(GgmlType type, std::span<const std::byte> block, uint32_t raw, uint32_t f32, uint32_t bf16) {
  EXPECT_EQ(crc32(block.data(), block.size()), raw);
  const std::vector<float> values = exact(type, block);
  EXPECT_EQ(crc32(values), f32);
  std::vector<BF16> rounded;
  for (float v : values) rounded.push_back(to_bf16(v));
  EXPECT_EQ(crc32(rounded), bf16);
}

void expect_values(const std::vector<float>& values, std::initializer_list<std::pair<int, float>> expected) {
  for (const auto& [index, value] : expected) EXPECT_FLOAT_EQ(values[static_cast<size_t>(index)], value) << index;
}

TEST(Convert, Q4_KVector) {
  const auto block = affine_block<Q4_K>();
  expect_crcs(GgmlType::kQ4_K, bytes_of(block), 0x3d1ded2c, 0x103427db, 0x1655fce1);
  const std::vector<float> values = exact(GgmlType::kQ4_K, bytes_of(block));
  expect_values(values, {{0, 4.43492126f},
                         {1, -0.101470947f},
                         {31, 2.3729248f},
                         {32, -0.162353516f},
                         {33, 0.549972534f},
                         {63, 1.73718262f},
                         {64, 0.745544434f},
                         {96, 0.184783936f},
                         {128, 0.901382446f},
                         {160, 0.553283691f},
                         {192, 3.66374207f},
                         {224, 9.52331543f},
                         {255, 3.52478027f}});
  EXPECT_EQ(std::bit_cast<uint32_t>(values[0]), 0x408deae0u);
  EXPECT_EQ(std::bit_cast<uint32_t>(values[127]), 0xbf03da00u);
  EXPECT_EQ(std::bit_cast<uint32_t>(values[255]), 0x40619600u);

  const auto groups = unpack_groups(format_of(GgmlType::kQ4_K), bytes_of(block), 1, 256, 0);
  ASSERT_TRUE(groups);
  EXPECT_EQ(crc32(groups->codes), 0x9269bf59u);
  const float scales[8] = {0.412399292f,  0.237442017f, 0.124969482f, 0.0874786377f,
                           0.0874786377f, 0.249938965f, 0.412399292f, 0.749816895f};
  const float mins[8] = {0.101470947f,  0.162353516f, 0.629119873f, 0.690002441f,
                         0.0608825684f, 0.446472168f, 0.872650146f, 0.974121094f};
  const float zeros[8] = {0.246050239f, 0.683760703f, 5.03418827f, 7.88766766f,
                          0.695970714f, 1.78632474f,  2.11603212f, 1.29914534f};
  for (size_t g = 0; g < 8; ++g) {
    EXPECT_FLOAT_EQ(groups->params.scales[g], scales[g]) << g;
    EXPECT_FLOAT_EQ(groups->params.mins[g], mins[g]) << g;
    EXPECT_FLOAT_EQ(groups->zeros()[g], zeros[g]) << g;
  }
}

TEST(Convert, Q4_KToInt4) {
  const auto block = affine_block<Q4_K>();
  const auto bf16 = to_int4(format_of(GgmlType::kQ4_K), bytes_of(block), 1, 256, DType::kBF16);
  ASSERT_TRUE(bf16);
  EXPECT_EQ(bf16->group_size, 32);
  EXPECT_EQ((std::vector<uint8_t>(bf16->packed.begin(), bf16->packed.begin() + 8)),
            (std::vector<uint8_t>{0x0b, 0xa5, 0x4f, 0xe9, 0x83, 0x2d, 0xc7, 0x61}));
  EXPECT_EQ(crc32(bf16->packed), 0xd3dff7d4u);
  EXPECT_EQ(bits_of(bf16->scale),
            (std::vector<uint16_t>{0x3ed3, 0x3e73, 0x3e00, 0x3db3, 0x3db3, 0x3e80, 0x3ed3, 0x3f40}));
  EXPECT_EQ(bits_of(bf16->zero_point),
            (std::vector<uint16_t>{0x3e7c, 0x3f2f, 0x40a1, 0x40fc, 0x3f32, 0x3fe5, 0x4007, 0x3fa6}));
  const std::vector<float> values = dequantize(*bf16), truth = exact(GgmlType::kQ4_K, bytes_of(block));
  expect_values(values, {{0, 4.43178558f}, {96, 0.18572998f}, {192, 3.66390991f}, {224, 9.52734375f}});

  const auto f16 = to_int4(format_of(GgmlType::kQ4_K), bytes_of(block), 1, 256, DType::kF16);
  ASSERT_TRUE(f16);
  EXPECT_EQ(bits_of(f16->scale),
            (std::vector<uint16_t>{0x3699, 0x3399, 0x3000, 0x2d99, 0x2d99, 0x3400, 0x3699, 0x3a00}));
  EXPECT_EQ(bits_of(f16->zero_point),
            (std::vector<uint16_t>{0x33e0, 0x3978, 0x4509, 0x47e3, 0x3991, 0x3f25, 0x403b, 0x3d32}));
  const std::vector<float> values_f16 = dequantize(*f16);
  float error = 0, error_f16 = 0;
  for (size_t i = 0; i < 256; ++i) {
    error = std::max(error, std::fabs(values[i] - truth[i]));
    error_f16 = std::max(error_f16, std::fabs(values_f16[i] - truth[i]));
  }
  EXPECT_NEAR(error, 0.00429535f, 1e-8f);
  EXPECT_NEAR(error_f16, 0.00274658f, 1e-8f);
}

TEST(Convert, Q4_KToIntx) {
  const auto block = affine_block<Q4_K>();
  const auto f16 = to_intx(format_of(GgmlType::kQ4_K), bytes_of(block), 1, 256);
  ASSERT_TRUE(f16);
  EXPECT_EQ(f16->target_bits, 4);
  EXPECT_EQ((std::vector<int8_t>(f16->codes.begin(), f16->codes.begin() + 8)),
            (std::vector<int8_t>{3, -8, -3, 2, 7, -4, 1, 6}));
  EXPECT_EQ(bits_of(f16->zero_point),
            (std::vector<uint16_t>{0xc7c1, 0xc751, 0xc1ee, 0xaf30, 0xc74e, 0xc637, 0xc5e2, 0xc6b3}));
  const auto bf16 = to_intx(format_of(GgmlType::kQ4_K), bytes_of(block), 1, 256, DType::kBF16);
  ASSERT_TRUE(bf16);
  EXPECT_EQ(bits_of(bf16->zero_point),
            (std::vector<uint16_t>{0xc0f8, 0xc0ea, 0xc03e, 0xbde6, 0xc0ea, 0xc0c7, 0xc0bc, 0xc0d6}));
  EXPECT_TRUE(bf16->integer_zero_point.empty());
}

TEST(Convert, Q5_KVector) {
  const auto block = affine_block<Q5_K>();
  expect_crcs(GgmlType::kQ5_K, bytes_of(block), 0xe141356d, 0x7777f45d, 0xaf5873a6);
  expect_values(exact(GgmlType::kQ5_K, bytes_of(block)), {{0, 11.0333099f},
                                                          {1, -0.101470947f},
                                                          {32, -0.162353516f},
                                                          {64, 2.74505615f},
                                                          {128, 0.901382446f},
                                                          {255, 3.52478027f}});
  const auto groups = unpack_groups(format_of(GgmlType::kQ5_K), bytes_of(block), 1, 256, 0);
  ASSERT_TRUE(groups);
  EXPECT_EQ(crc32(groups->codes), 0xe00dbaa4u);

  const auto f16 = to_intx(format_of(GgmlType::kQ5_K), bytes_of(block), 1, 256);
  ASSERT_TRUE(f16);
  EXPECT_EQ(f16->target_bits, 5);
  EXPECT_EQ((std::vector<int8_t>(f16->codes.begin(), f16->codes.begin() + 8)),
            (std::vector<int8_t>{11, -16, 5, -6, 15, -12, 9, -2}));
  EXPECT_EQ(bits_of(f16->zero_point),
            (std::vector<uint16_t>{0xcbe1, 0xcba8, 0xc97c, 0xc80e, 0xcba7, 0xcb1b, 0xcaf1, 0xcb5a}));
  const auto bf16 = to_intx(format_of(GgmlType::kQ5_K), bytes_of(block), 1, 256, DType::kBF16);
  ASSERT_TRUE(bf16);
  EXPECT_EQ(bits_of(bf16->zero_point),
            (std::vector<uint16_t>{0xc17c, 0xc175, 0xc12f, 0xc102, 0xc175, 0xc163, 0xc15e, 0xc16b}));
}

TEST(Convert, Q6_KVector) {
  const Q6_K block = q6_k_block();
  expect_crcs(GgmlType::kQ6_K, bytes_of(block), 0x7303097e, 0x572ff5aa, 0x58fa68aa);
  expect_values(exact(GgmlType::kQ6_K, bytes_of(block)), {{0, -1.19699478f},
                                                          {16, -1.02409554f},
                                                          {32, 0.582397461f},
                                                          {64, 0.824596405f},
                                                          {96, 0.243598938f},
                                                          {128, 0.186199188f},
                                                          {160, -0.363998413f},
                                                          {192, 0.230998993f},
                                                          {224, 0.450798035f},
                                                          {255, -2.05799103f}});
  const auto f16 = to_intx(format_of(GgmlType::kQ6_K), bytes_of(block), 1, 256);
  ASSERT_TRUE(f16);
  EXPECT_EQ(crc32(f16->codes), 0x7e32f4abu);
  EXPECT_EQ(f16->target_bits, 8);
  EXPECT_EQ(f16->group_size, 16);
  EXPECT_EQ(f16->integer_zero_point, std::vector<int8_t>(16, 0));
  EXPECT_TRUE(f16->zero_point.bytes.empty());
  EXPECT_EQ(bits_of(f16->scale),
            (std::vector<uint16_t>{0xac08, 0xaae6, 0xa9bc, 0xa892, 0xa6cf, 0xa47b, 0xa04d, 0x11bc, 0x2104, 0x24d7,
                                   0x272b, 0x28c0, 0x29ea, 0x2b14, 0x2c1f, 0x2cb4}));
  const auto bf16 = to_intx(format_of(GgmlType::kQ6_K), bytes_of(block), 1, 256, DType::kBF16);
  ASSERT_TRUE(bf16);
  EXPECT_EQ(bits_of(bf16->scale),
            (std::vector<uint16_t>{0xbd81, 0xbd5d, 0xbd38, 0xbd12, 0xbcda, 0xbc8f, 0xbc0a, 0x3a38, 0x3c21, 0x3c9b,
                                   0x3ce5, 0x3d18, 0x3d3d, 0x3d63, 0x3d84, 0x3d97}));
}

TEST(Convert, AZeroScaleLosesItsConstant) {
  auto block = affine_block<Q4_K>();
  block.scales[0] = 0x80;  // scale 0 becomes 0, scale 4 becomes 39
  const std::vector<float> truth = exact(GgmlType::kQ4_K, bytes_of(block));
  const auto groups = unpack_groups(format_of(GgmlType::kQ4_K), bytes_of(block), 1, 256, 0);
  ASSERT_TRUE(groups);
  EXPECT_FLOAT_EQ(groups->params.scales[4], to_f32(block.d) * 39);
  const auto int4 = to_int4(format_of(GgmlType::kQ4_K), bytes_of(block), 1, 256, DType::kF32);
  const auto intx = to_intx(format_of(GgmlType::kQ4_K), bytes_of(block), 1, 256, DType::kF32);
  ASSERT_TRUE(int4 && intx);
  for (size_t i = 0; i < 32; ++i) {
    EXPECT_FLOAT_EQ(truth[i], -0.101470947f);
    EXPECT_EQ(dequantize(*int4)[i], 0.0f);
    EXPECT_EQ(dequantize(*intx)[i], 0.0f);
  }
}

TEST(Convert, MergesUniformGroupsOfABlock) {
  auto block = affine_block<Q4_K>();
  std::memset(block.scales, 0x21, 12);  // scales 33 33 33 33 1 1 1 1, mins 33 33 33 33 2 2 2 2
  for (const auto& [cap, expected] : {std::pair(0, 32), {32, 32}, {64, 64}, {128, 128}, {256, 128}}) {
    const auto intx = to_intx(format_of(GgmlType::kQ4_K), bytes_of(block), 1, 256, DType::kF32, cap);
    const auto native = to_intx(format_of(GgmlType::kQ4_K), bytes_of(block), 1, 256, DType::kF32);
    const auto int4 = to_int4(format_of(GgmlType::kQ4_K), bytes_of(block), 1, 256, DType::kF32, cap);
    ASSERT_TRUE(intx && native && int4);
    EXPECT_EQ(intx->group_size, expected) << cap;
    EXPECT_EQ(int4->group_size, expected) << cap;
    EXPECT_EQ(intx->scale.bytes.size(), static_cast<size_t>(256 / expected) * 4);
    EXPECT_EQ(dequantize(*intx), dequantize(*native)) << "the merge is lossless";
  }
}

// Several rows and blocks of random bytes: with f32 parameters only the zero point rounds.
TEST(Convert, AgreesWithDequantizeOnRandomRows) {
  auto rng = testing::fresh_rng();
  constexpr int64_t kRows = 5, kValues = 512;
  for (const GgmlType type : {GgmlType::kQ4_K, GgmlType::kQ5_K, GgmlType::kQ6_K}) {
    const Format& format = format_of(type);
    std::vector<float> input(kRows * kValues);
    for (float& v : input) v = std::normal_distribution<float>()(rng);
    std::vector<std::byte> blocks(static_cast<size_t>(format.bytes_for(kRows * kValues)));
    format.quantize(input.data(), kRows * kValues, blocks.data());
    const std::vector<float> truth = exact(type, blocks);
    const auto intx = convert(format, blocks, kRows, kValues, {.scale_dtype = DType::kF32});
    ASSERT_TRUE(intx);
    EXPECT_EQ(std::holds_alternative<Int4Tensor>(*intx), type == GgmlType::kQ4_K);
    const std::vector<float> values = std::visit([](const auto& tensor) { return dequantize(tensor); }, *intx);
    for (size_t i = 0; i < truth.size(); ++i) ASSERT_NEAR(values[i], truth[i], 1e-5f) << format.name << " " << i;
  }
}

TEST(Convert, TransposesParametersOfInt4) {
  Q4_K blocks[2] = {affine_block<Q4_K>(), affine_block<Q4_K>()};
  blocks[1].d.bits = 0x2666;  // twice the d of row 0: one more in the exponent
  const auto int4 = to_int4(format_of(GgmlType::kQ4_K), std::as_bytes(std::span(blocks)), 2, 256, DType::kF32);
  ASSERT_TRUE(int4);
  for (size_t g = 0; g < 8; ++g) EXPECT_FLOAT_EQ(int4->scale[2 * g + 1], 2 * int4->scale[2 * g]) << g;
}

TEST(Convert, RefusesWhatItCannotDo) {
  const auto block = affine_block<Q5_K>();
  const Format& q5k = format_of(GgmlType::kQ5_K);
  const auto int4 = convert(q5k, bytes_of(block), 1, 256, {.target = ConversionPolicy::Target::kInt4});
  ASSERT_FALSE(int4);
  EXPECT_EQ(int4.error().code, ErrorCode::kNotImplemented);
  const auto q8 = to_intx(format_of(GgmlType::kQ2_K), {}, 1, 256);
  ASSERT_FALSE(q8);
  EXPECT_EQ(q8.error().code, ErrorCode::kNotImplemented);
  EXPECT_NE(q8.error().message.find("Q6_K"), std::string::npos) << q8.error().message;
  for (const auto& [rows, values] : {std::pair<int64_t, int64_t>(1, 255), {2, 256}, {1, 512}, {-1, 256}, {1, 0}}) {
    const auto wrong = to_intx(q5k, bytes_of(block), rows, values);
    ASSERT_FALSE(wrong) << rows << " x " << values;
    EXPECT_EQ(wrong.error().code, ErrorCode::kInvalidArgument);
  }
  EXPECT_EQ(to_intx(q5k, bytes_of(block), 1, 256, DType::kI8).error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace tessera::quant
