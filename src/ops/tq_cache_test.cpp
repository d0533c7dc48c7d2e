#include "ops/tq_cache.h"

#include "ops/ops_testing.h"
#include "quant/tq4.h"
#include "test_util.h"

namespace tessera::ops {
namespace {

using namespace testing;
using tessera::testing::fresh_rng;

Tensor boundaries(int64_t dim) {
  const auto codebook = quant::tq4_codebook(dim);
  return f32({15}, {codebook.boundaries.begin(), codebook.boundaries.end()});
}
Tensor centroids(int64_t dim) {
  const auto codebook = quant::tq4_codebook(dim);
  return f32({16}, {codebook.centroids.begin(), codebook.centroids.end()});
}

TEST(TqCache, LengthsAreRoundedOnceToTheVectorsDtype) {
  expect_same(tq_norm(f32({2, 2}, {3, 4, -6, 8})), f32({2, 1}, {5, 10}));
  const Tensor x = f32({1, 4}, {1000, 1, 1, 1});  // in bf16 sums of squares would lose the ones
  EXPECT_EQ(element<float>(*tq_norm(x), 0), std::sqrt(1000003.0f));
  for (DType dtype : {DType::kF16, DType::kBF16}) EXPECT_EQ(tq_norm(*Tensor::zeroed(dtype, {3, 64}))->dtype, dtype);
}

// With the division and the rotation left to others, these are the codec of quant/tq4.
TEST(TqCache, TogetherTheyAreTheCodec) {
  auto rng = fresh_rng();
  constexpr int64_t kDim = 128, kVectors = 6;
  const Tensor x = random(rng, DType::kF32, {2, 3, kDim}, -2, 2), norms = tq_norm(x).value();
  Tensor directions = *Tensor::allocate(DType::kF32, x.shape);
  for (int64_t i = 0; i < x.n_elements(); ++i)
    directions.as<float>()[i] = x.as<float>()[i] / (norms.as<float>()[i / kDim] + quant::kTq4Epsilon);
  const Tensor packed = tq4_compress(directions, boundaries(kDim)).value();
  ASSERT_EQ(packed.shape, Shape({2, 3, kDim / 2}));
  const Tensor restored = tq_dequant(packed, norms, centroids(kDim), DType::kF32).value();
  ASSERT_EQ(restored.shape, x.shape);
  const auto codebook = quant::tq4_codebook(kDim);
  for (int64_t i = 0; i < kVectors; ++i) {
    uint8_t codes[kDim / 2];
    const BF16 norm = quant::tq4_compress(x.as<float>() + i * kDim, kDim, codebook.boundaries.data(), codes);
    EXPECT_EQ(norm.bits, to_bf16(norms.as<float>()[i]).bits);
    EXPECT_EQ(std::memcmp(codes, packed.data + i * kDim / 2, sizeof(codes)), 0);
    float values[kDim];
    quant::tq4_decompress(codes, norms.as<float>()[i], kDim, codebook.centroids.data(), values);
    EXPECT_EQ(std::memcmp(values, restored.as<float>() + i * kDim, sizeof(values)), 0);
  }
}

TEST(TqCache, WhatDoesNotFitIsRefused) {
  const Tensor x = *Tensor::zeroed(DType::kF32, {2, 64}), packed = *Tensor::zeroed(DType::kU8, {2, 32});
  const Tensor norms = *Tensor::zeroed(DType::kBF16, {2, 1});
  expect_error(tq_norm(packed), ErrorCode::kInvalidArgument, "x must be f32, f16 or bf16");
  expect_error(tq_norm(*Tensor::zeroed(DType::kF32, {})), ErrorCode::kInvalidArgument, "must hold vectors");
  expect_error(tq4_compress(*Tensor::zeroed(DType::kF32, {2, 63}), boundaries(64)), ErrorCode::kInvalidArgument,
               "pairs");
  expect_error(tq4_compress(x, centroids(64)), ErrorCode::kInvalidArgument, "boundaries must have shape [15]");
  expect_error(tq_dequant(x, norms, centroids(64), DType::kF32), ErrorCode::kInvalidArgument, "packed must be u8");
  expect_error(tq_dequant(packed, x, centroids(64), DType::kF32), ErrorCode::kInvalidArgument,
               "norms must have shape [2, 1]");
  expect_error(tq_dequant(packed, norms, boundaries(64), DType::kF32), ErrorCode::kInvalidArgument, "centroids");
  expect_error(tq_dequant(packed, norms, centroids(64), DType::kI32), ErrorCode::kInvalidArgument, "the result");
}

}  // namespace
}  // namespace tessera::ops
