#include <cmath>

#include "ops/gguf_embedding.h"
#include "ops/gguf_linear.h"
#include "ops/mlx_quant.h"
#include "ops/ops_testing.h"
#include "test_util.h"

namespace tessera::ops {
namespace {

using namespace ops::testing;
using tessera::testing::fresh_rng;
constexpr auto kBad = ErrorCode::kInvalidArgument;
constexpr auto kMissing = ErrorCode::kNotImplemented;
using Values = std::vector<double>;

// Packs codes bit by bit, row by row.
Tensor packed(const std::vector<uint32_t>& codes, const Shape& shape, int bits) {
  Shape words = shape;
  words[shape.rank() - 1] = shape.back() * bits / 32;
  Tensor out = Tensor::allocate(DType::kU32, words).value();
  std::fill_n(out.as<uint32_t>(), out.n_elements(), 0u);
  const int64_t width = shape.back();
  for (int64_t i = 0; i < shape.n_elements(); ++i)
    for (int bit = 0; bit < bits; ++bit) {
      const int64_t at = i % width * bits + bit;
      const uint32_t value = codes[static_cast<size_t>(i)] >> bit & 1;
      out.as<uint32_t>()[i / width * words.back() + at / 32] |= value << (at % 32);
    }
  return out;
}

struct Affine {
  Tensor codes, scales, biases;
  Values values;  // scale * code + bias, exactly
};
Affine random_affine(std::mt19937_64& rng, const Shape& shape, int bits, int group_size, DType dtype) {
  std::vector<uint32_t> codes(static_cast<size_t>(shape.n_elements()));
  for (uint32_t& code : codes) code = static_cast<uint32_t>(rng()) & ((1u << bits) - 1);
  Shape groups = shape;
  groups[shape.rank() - 1] = shape.back() / group_size;
  Affine out{packed(codes, shape, bits), random(rng, dtype, groups), random(rng, dtype, groups), {}};
  for (size_t i = 0; i < codes.size(); ++i) {
    const auto g = static_cast<int64_t>(i) / group_size;
    out.values.push_back(element<double>(out.scales, g) * codes[i] + element<double>(out.biases, g));
  }
  return out;
}

TEST(MlxQuant, DequantizesEveryWidth) {
  auto rng = fresh_rng();
  for (int bits : {2, 3, 4, 5, 6, 8})
    for (int group_size : {16, 32, 64, 128}) {
      const Affine w = random_affine(rng, {2, 3, 128}, bits, group_size, DType::kF32);
      const QuantizedWeight weight{w.codes, w.scales, &w.biases, group_size, bits, "affine"};
      // Two roundings, of the product and of the sum; |product| <= 512.
      const Tensor out = dequantize(weight, nullptr).value();
      ASSERT_TRUE(out.shape == (Shape{2, 3, 128}));
      for (int64_t i = 0; i < out.n_elements(); ++i)
        EXPECT_NEAR(element<double>(out, i), w.values[static_cast<size_t>(i)], 512 * 0x1p-23);
      const DType half = DType::kF16;
      EXPECT_EQ(dequantize(weight, &half)->dtype, DType::kF16);
    }
}

TEST(MlxQuant, FourAndEightBitsAreNibblesAndBytes) {
  const uint32_t words[] = {0x87654321u, 0xfedcba98u};
  for (int j = 0; j < 8; ++j) EXPECT_EQ(unpack_code(words, j, 4), static_cast<uint32_t>(j + 1));
  EXPECT_EQ(unpack_code(words, 0, 8), 0x21u);
  EXPECT_EQ(unpack_code(words, 7, 8), 0xfeu);
  EXPECT_EQ(unpack_code(words, 6, 5), (0x87654321u >> 30 | 0xfedcba98u << 2) & 31);  // straddles
}

TEST(MlxQuant, SmallFloats) {
  const Values magnitudes{0, 0.5, 1, 1.5, 2, 3, 4, 6};
  for (uint32_t code = 0; code < 16; ++code) EXPECT_EQ(from_e2m1(code), magnitudes[code % 8] * (code < 8 ? 1 : -1));
  EXPECT_EQ(from_e4m3(0x01), 0x1p-9);
  EXPECT_EQ(from_e4m3(0x08), 0x1p-6);
  EXPECT_EQ(from_e4m3(0x38), 1.0);
  EXPECT_EQ(from_e4m3(0xbc), -1.5);
  EXPECT_EQ(from_e4m3(0x7e), 448.0);
  EXPECT_TRUE(std::isnan(from_e4m3(0x7f)));
  EXPECT_EQ(from_e8m0(127), 1.0);
  EXPECT_EQ(from_e8m0(0), 0x1p-127);
}

TEST(MlxQuant, FloatModes) {
  auto rng = fresh_rng();
  const struct {
    std::string_view mode;
    int group_size, bits;
    double (*code)(uint32_t);
    double (*scale)(uint32_t);
  } kModes[] = {{"mxfp4", 32, 4, from_e2m1, from_e8m0},
                {"mxfp8", 32, 8, from_e4m3, from_e8m0},
                {"nvfp4", 16, 4, from_e2m1, from_e4m3}};
  for (const auto& mode : kModes) {
    SCOPED_TRACE(mode.mode);
    std::vector<uint32_t> codes(2 * 64);
    for (uint32_t& code : codes) code = static_cast<uint32_t>(rng() % (mode.bits == 4 ? 16 : 126));
    const Tensor words = packed(codes, {2, 64}, mode.bits),
                 scales = random(rng, DType::kU8, {2, 64 / mode.group_size}, 100, 120);
    Values expected;
    for (size_t i = 0; i < codes.size(); ++i)
      expected.push_back(mode.code(codes[i]) * mode.scale(static_cast<uint32_t>(element<int64_t>(
                                                   scales, static_cast<int64_t>(i) / mode.group_size))));
    const DType f32_dtype = DType::kF32;
    const QuantizedWeight weight{words, scales, nullptr, mode.group_size, mode.bits, mode.mode};
    expect_tensor(dequantize(weight, &f32_dtype), DType::kF32, {2, 64}, expected);
    EXPECT_EQ(dequantize(weight, nullptr)->dtype, DType::kBF16);
    const Tensor x = random(rng, DType::kBF16, {1, 64});
    Values product(2);
    for (int64_t i = 0; i < 128; ++i)
      product[static_cast<size_t>(i / 64)] += at(x, {0, i % 64}) * expected[static_cast<size_t>(i)];
    expect_tensor(quantized_matmul(x, weight, true), DType::kBF16, {1, 2}, product, 1.01);
  }
}

TEST(MlxQuant, GlobalScaleOfNvfp4) {
  const Tensor words = packed(std::vector<uint32_t>(16, 2), {1, 16}, 4), scales = tensor(DType::kU8, {1, 1}, {0x38});
  const Tensor global = f32({}, {2688});
  const Tensor rows = words.reshaped({1, 2});
  const QuantizedWeight weight{rows, scales, nullptr, 16, 4, "nvfp4", &global};
  expect_tensor(dequantize(weight, nullptr), DType::kBF16, {1, 16}, Values(16, 1.0));
  const Tensor half = f32({}, {1344});
  expect_tensor(dequantize({rows, scales, nullptr, 16, 4, "nvfp4", &half}, nullptr), DType::kBF16, {1, 16},
                Values(16, 0.5));
  const Tensor scale32 = tensor(DType::kU8, {1, 1}, {127}), words32 = packed(std::vector<uint32_t>(32, 2), {1, 32}, 4);
  expect_error(dequantize({words32, scale32, nullptr, 32, 4, "mxfp4", &global}, nullptr), kBad, "no global scale");
}

TEST(QuantizedMatmul, BothOrientations) {
  auto rng = fresh_rng();
  for (int bits : {2, 3, 4, 5, 6, 8}) {
    const Affine w = random_affine(rng, {7, 64}, bits, 32, DType::kF32);
    const QuantizedWeight weight{w.codes, w.scales, &w.biases, 32, bits, "affine"};
    const Tensor x = random(rng, DType::kF32, {2, 3, 64}), y = random(rng, DType::kF32, {5, 7});
    Values across, along;
    for_each_index({2, 3, 7}, [&](const auto& i) {
      double sum = 0;
      for (int64_t k = 0; k < 64; ++k) sum += at(x, {i[0], i[1], k}) * w.values[static_cast<size_t>(i[2] * 64 + k)];
      across.push_back(sum);
    });
    for_each_index({5, 64}, [&](const auto& i) {
      double sum = 0;
      for (int64_t k = 0; k < 7; ++k) sum += at(y, {i[0], k}) * w.values[static_cast<size_t>(k * 64 + i[1])];
      along.push_back(sum);
    });
    expect_tensor(quantized_matmul(x, weight, true), DType::kF32, {2, 3, 7}, across, 1.001);
    expect_tensor(quantized_matmul(y, weight, false), DType::kF32, {5, 64}, along, 1.001);
  }
}

TEST(QuantizedMatmul, DTypesAndErrors) {
  auto rng = fresh_rng();
  const Affine w = random_affine(rng, {4, 64}, 4, 32, DType::kF16);
  const QuantizedWeight weight{w.codes, w.scales, &w.biases, 32, 4, "affine"};
  EXPECT_EQ(quantized_matmul(random(rng, DType::kBF16, {1, 64}), weight, true)->dtype, DType::kF32);
  EXPECT_EQ(quantized_matmul(random(rng, DType::kF16, {64}), weight, true)->dtype, DType::kF16);
  const Tensor x = random(rng, DType::kF32, {1, 64});
  expect_error(quantized_matmul(random(rng, DType::kF32, {1, 32}), weight, true), kBad, "must end in 64");
  expect_error(quantized_matmul(x, {w.codes, w.scales, &w.biases, 64, 4, "affine"}, true), kBad, "values of 4 bits");
  expect_error(quantized_matmul(x, {w.codes, w.scales, &w.biases, 32, 7, "affine"}, true), kMissing, "7 bits");
  expect_error(quantized_matmul(x, {w.codes, w.scales, &w.biases, 0, 4, "affine"}, true), kMissing, "groups of 0");
  expect_error(quantized_matmul(x, {w.codes, w.scales, nullptr, 32, 4, "affine"}, true), kBad, "needs biases");
  expect_error(quantized_matmul(x, {w.codes, w.scales, &w.biases, 32, 4, "fp3"}, true), kMissing, "\"fp3\"");
  expect_error(quantized_matmul(x, {w.codes, w.scales, &w.biases, 32, 4, "mxfp4"}, true), kBad, "no biases");
  expect_error(quantized_matmul(x, {w.scales, w.scales, &w.biases, 32, 4, "affine"}, true), kBad, "must be u32");
  const Tensor wrong = random(rng, DType::kF16, {4, 1});
  expect_error(quantized_matmul(x, {w.codes, w.scales, &wrong, 32, 4, "affine"}, true), kBad, "biases must have shape");
}

TEST(GatherQmm, PicksExperts) {
  auto rng = fresh_rng();
  const Affine w = random_affine(rng, {3, 4, 64}, 4, 64, DType::kF32);  // (experts, N, K)
  const QuantizedWeight weight{w.codes, w.scales, &w.biases, 64, 4, "affine"};
  const Tensor x = random(rng, DType::kF32, {5, 1, 64}), experts = i32({5, 2}, {0, 2, 1, 1, 2, 0, 0, 1, 2, 2});
  const Tensor tokens = i32({5, 1}, {0, 1, 2, 3, 4});
  Values expected;
  for_each_index({5, 2, 1, 4}, [&](const auto& i) {
    const auto expert = static_cast<int64_t>(at(experts, {i[0], i[1]}));
    double sum = 0;
    for (int64_t k = 0; k < 64; ++k)
      sum += at(x, {i[0], 0, k}) * w.values[static_cast<size_t>((expert * 4 + i[3]) * 64 + k)];
    expected.push_back(sum);
  });
  expect_tensor(gather_qmm(x, weight, &tokens, &experts, true), DType::kF32, {5, 2, 1, 4}, expected, 1.001);
}

// Every readable format: packs random values with the format's own quantizer, or random bytes of a known shape.
Tensor random_weight(std::mt19937_64& rng, const quant::Format& format, int64_t n, int64_t k) {
  Tensor out = Tensor::allocate(DType::kU8, {n, format.bytes_for(k)}).value();
  std::uniform_real_distribution<float> real(-1, 1);
  std::vector<float> row(static_cast<size_t>(k));
  for (int64_t i = 0; i < n; ++i) {
    for (float& value : row) value = real(rng);
    format.quantize(row.data(), k, out.data + i * out.shape[1]);
  }
  return out;
}

TEST(DotExact, IsTheDocumentedOrder) {
  auto rng = fresh_rng();
  for (int64_t k : {1, 15, 16, 17, 256, 1000}) {
    std::vector<float> w(static_cast<size_t>(k)), x(w.size());
    std::uniform_real_distribution<float> real(-1, 1);
    for (float& value : w) value = real(rng);
    for (float& value : x) value = real(rng);
    float lanes[16] = {};
    for (size_t i = 0; i < w.size(); ++i) lanes[i % 16] = std::fma(w[i], x[i], lanes[i % 16]);
    for (size_t l = 0; l < 8; ++l) lanes[l] = lanes[l] + lanes[l + 8];
    for (size_t l = 0; l < 4; ++l) lanes[l] = lanes[l] + lanes[l + 4];
    EXPECT_EQ(dot_exact(w.data(), x.data(), k), (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]));
  }
}

TEST(GgufLinear, EveryFormatAgainstDequantizedRows) {
  auto rng = fresh_rng();
  ThreadPool pool(2);
  int n_formats = 0;
  for (const quant::Format& format : quant::all_formats()) {
    if (!format.dequantize || !format.quantize) continue;
    SCOPED_TRACE(format.name);
    ++n_formats;
    const int64_t k = 2 * std::max(format.block_values, 20), n = 21;
    const Tensor weight = random_weight(rng, format, n, k), bias = random(rng, DType::kF16, {n});
    const Tensor x = random(rng, DType::kF32, {2, 3, k});
    std::vector<float> rows(static_cast<size_t>(n * k));
    format.dequantize(weight.data, n * k, rows.data());
    Values expected, shifted;
    for_each_index({2, 3, n}, [&](const auto& i) {
      double sum = 0;
      for (int64_t j = 0; j < k; ++j)
        sum += at(x, {i[0], i[1], j}) * static_cast<double>(rows[static_cast<size_t>(i[2] * k + j)]);
      expected.push_back(sum);
      shifted.push_back(sum + at(bias, {i[2]}));
    });
    const Tensor plain = gguf_linear(x, weight, format, nullptr, DType::kF32).value();
    const Tensor with_bias = gguf_linear(x, weight, format, &bias, DType::kF32, &pool).value();
    ASSERT_TRUE(plain.shape == (Shape{2, 3, n}));
    for (size_t i = 0; i < expected.size(); ++i) {  // sums of k products below 2 in f32
      EXPECT_NEAR(element<double>(plain, static_cast<int64_t>(i)), expected[i], static_cast<double>(k) * 0x1p-21);
      EXPECT_NEAR(element<double>(with_bias, static_cast<int64_t>(i)), shifted[i], static_cast<double>(k) * 0x1p-21);
    }
    const Tensor half = gguf_linear(cast(x, DType::kBF16).value(), weight, format, nullptr, DType::kBF16).value();
    EXPECT_EQ(half.dtype, DType::kBF16);
    expect_tensor(gguf_linear(Tensor::allocate(DType::kF32, {0, k}).value(), weight, format, nullptr, DType::kF16),
                  DType::kF16, {0, n}, {});
  }
  EXPECT_GE(n_formats, 5);
}

TEST(GgufLinear, ChecksShapesAndFormats) {
  auto rng = fresh_rng();
  const quant::Format& format = *quant::find_format(quant::GgmlType::kQ8_0);
  const Tensor weight = random_weight(rng, format, 4, 64), x = random(rng, DType::kF32, {1, 64});
  expect_error(gguf_linear(random(rng, DType::kF32, {1, 32}), weight, format, nullptr, DType::kF32), kBad,
               "must end in 64");
  expect_error(gguf_linear(i32({1, 1}, {1}), weight, format, nullptr, DType::kF32), kBad, "x must be f32");
  expect_error(gguf_linear(x, weight, format, nullptr, DType::kI32), kBad, "the result must be");
  const Tensor bias = random(rng, DType::kF32, {3});
  expect_error(gguf_linear(x, weight, format, &bias, DType::kF32), kBad, "bias must have shape [4]");
  const Tensor ragged = tensor(DType::kU8, {1, 5}, {1, 2, 3, 4, 5});
  expect_error(gguf_linear(x, ragged, format, nullptr, DType::kF32), kBad, "whole Q8_0 blocks");
  for (const quant::Format& other : quant::all_formats())
    if (!other.dequantize)
      expect_error(gguf_linear(x, weight, other, nullptr, DType::kF32), kMissing,
                   fmt::format("weights in {}", other.name));
}

TEST(GgufEmbedding, GathersRows) {
  auto rng = fresh_rng();
  const quant::Format& format = *quant::find_format(quant::GgmlType::kQ6_K);
  const Tensor weight = random_weight(rng, format, 9, 256), ids = i64({2, 2}, {0, 8, 3, 3});
  std::vector<float> rows(9 * 256);
  format.dequantize(weight.data, 9 * 256, rows.data());
  Values expected;
  for (int64_t id : to_int64s(ids))
    for (int64_t j = 0; j < 256; ++j) expected.push_back(static_cast<double>(rows[static_cast<size_t>(id * 256 + j)]));
  expect_tensor(gguf_embedding(weight, format, ids, DType::kF32), DType::kF32, {2, 2, 256}, expected, 0);
  expect_tensor(gguf_embedding(weight, format, ids, DType::kBF16), DType::kBF16, {2, 2, 256}, expected);
  expect_error(gguf_embedding(weight, format, i32({1}, {9}), DType::kF32), ErrorCode::kOutOfRange, "id 9");
  expect_error(gguf_embedding(weight, format, i32({1}, {-1}), DType::kF32), ErrorCode::kOutOfRange, "id -1");
  expect_error(gguf_embedding(weight, format, f32({1}, {1}), DType::kF32), kBad, "i32 or i64");
}

}  // namespace
}  // namespace tessera::ops
