// The codebook against documented bits and against its own derivation, the rotation, and what compression loses.
#include "quant/tq4.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

#include "test_util.h"

namespace tessera::quant {
namespace {

constexpr int64_t kDims[] = {64, 128, 256, 512, 1024};

// ---- codebook

// f32 bits of the positive centroids (neighbour-systems 5.1); d = 256 is half of d = 64.
struct DocumentedCentroids {
  int64_t dim;
  uint32_t bits[8];
};
constexpr DocumentedCentroids kDocumentedCentroids[] = {
    {64, {0x3c7b6726, 0x3d3dd422, 0x3da069b6, 0x3de59de4, 0x3e1876aa, 0x3e43211f, 0x3e7698e1, 0x3e9e3c6e}},
    {128, {0x3c31c4ca, 0x3d063aa8, 0x3d62dbaf, 0x3da25d13, 0x3dd79db1, 0x3e09fa31, 0x3e2e5edc, 0x3e5fc792}},
    {512, {0x3bb1c4ca, 0x3c863aa8, 0x3ce2dbaf, 0x3d225d13, 0x3d579db1, 0x3d89fa31, 0x3dae5edc, 0x3ddfc792}}};

TEST(Tq4, CentroidsHaveTheDocumentedBits) {
  for (const DocumentedCentroids& documented : kDocumentedCentroids) {
    const Tq4Codebook codebook = tq4_codebook(documented.dim);
    for (size_t i = 0; i < 8; ++i)
      EXPECT_EQ(std::bit_cast<uint32_t>(codebook.centroids[8 + i]), documented.bits[i]) << documented.dim << " " << i;
  }
  const Tq4Codebook small = tq4_codebook(64), large = tq4_codebook(256);
  for (size_t i = 0; i < 16; ++i) EXPECT_EQ(large.centroids[i], small.centroids[i] / 2);
}

TEST(Tq4, BoundariesHaveTheDocumentedBits) {
  constexpr uint16_t k256[] = {0, 0x3c7d, 0x3cff, 0x3d43, 0x3d86, 0x3dae, 0x3ddd, 0x3e0d};
  constexpr uint16_t k512[] = {0, 0x3c33, 0x3cb5, 0x3d0a, 0x3d3d, 0x3d76, 0x3d9c, 0x3dc7};
  for (size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(std::bit_cast<uint32_t>(tq4_codebook(256).boundaries[7 + i]), uint32_t{k256[i]} << 16) << i;
    EXPECT_EQ(std::bit_cast<uint32_t>(tq4_codebook(512).boundaries[7 + i]), uint32_t{k512[i]} << 16) << i;
  }
}

TEST(Tq4, LevelsAreSymmetricAndBetweenTheirBoundaries) {
  for (int64_t dim : kDims) {
    const auto [c, b] = tq4_codebook(dim);
    for (size_t i = 0; i < 16; ++i) EXPECT_EQ(c[i], -c[15 - i]);
    for (size_t i = 0; i < 15; ++i) {
      EXPECT_EQ(b[i], -b[14 - i]);
      EXPECT_LT(c[i], b[i]);
      EXPECT_LT(b[i], c[i + 1]);
    }
  }
}

// Lloyd-Max as it is described: the mean of a truncated normal in each cell, the middles between them, 200 times.
TEST(Tq4, CentroidsAreTwoHundredRoundsOfLloyd) {
  const auto density = [](double x) { return std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi); };
  const auto below = [](double x) { return std::erfc(-x * std::numbers::sqrt2 / 2) / 2; };
  double c[16], b[17];
  for (int i = 0; i < 16; ++i) c[i] = -3 + 6 * (i + 0.5) / 16;
  for (int round = 0; round < 200; ++round) {
    b[0] = -3, b[16] = 3;
    for (int i = 1; i < 16; ++i) b[i] = (c[i - 1] + c[i]) / 2;
    for (int i = 0; i < 16; ++i) c[i] = (density(b[i]) - density(b[i + 1])) / (below(b[i + 1]) - below(b[i]));
  }
  const Tq4Codebook codebook = tq4_codebook(256);
  for (int i = 0; i < 16; ++i)
    EXPECT_FLOAT_EQ(codebook.centroids[static_cast<size_t>(i)], static_cast<float>(c[i] / 16));
}

// ---- rotation

TEST(Tq4, TheRotationIsItsOwnInverseAndExactInHalfPrecision) {
  for (int64_t dim : kDims) {
    const std::vector<float> r = Tq4Rotation(dim).matrix();
    const auto d = static_cast<size_t>(dim);
    ASSERT_EQ(r.size(), d * d);
    for (size_t i = 0; i < d; ++i)
      for (size_t j = 0; j < d; ++j) {
        ASSERT_EQ(r[i * d + j], r[j * d + i]);
        ASSERT_EQ(to_f32(to_bf16(r[i * d + j])), r[i * d + j]);
        ASSERT_EQ(to_f32(to_f16(r[i * d + j])), r[i * d + j]);
      }
    for (size_t i = 0; i < d; i += d / 16)
      for (size_t j = 0; j < d; ++j) {
        double sum = 0;
        for (size_t m = 0; m < d; ++m) sum += double{r[i * d + m]} * r[m * d + j];
        ASSERT_EQ(sum, i == j ? 1.0 : 0.0) << dim << ": " << i << ", " << j;
      }
  }
}

TEST(Tq4, TheRotationByStructureIsTheMatrix) {
  auto rng = testing::fresh_rng();
  std::normal_distribution<float> normal;
  for (int64_t dim : kDims) {
    const auto d = static_cast<size_t>(dim);
    const std::vector<float> r = Tq4Rotation(dim).matrix();
    std::vector<float> x(d);
    for (float& value : x) value = normal(rng);
    std::vector<float> y = x;
    Tq4Rotation(dim).apply(y.data());
    for (size_t i = 0; i < d; ++i) {
      double sum = 0;
      for (size_t j = 0; j < d; ++j) sum += double{r[i * d + j]} * x[j];
      EXPECT_NEAR(y[i], sum, 1e-5);
    }
  }
}

// Files hold it: another one would be another format.
TEST(Tq4, TheRotationIsThisOne) {
  const std::vector<float> r = Tq4Rotation(64).matrix();
  uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a over the integers the entries are
  for (const float x : r) hash = (hash ^ static_cast<uint8_t>(static_cast<int>(x * 64))) * 0x100000001b3u;
  EXPECT_EQ(hash, 9083050756651175557u);
}

// ---- compression

std::vector<float> rotated(std::vector<float> x) {
  Tq4Rotation(static_cast<int64_t>(x.size())).apply(x.data());
  return x;
}

// What x is after a stay in the cache.
std::vector<float> there_and_back(const std::vector<float>& x) {
  const auto dim = static_cast<int64_t>(x.size());
  const auto [centroids, boundaries] = tq4_codebook(dim);
  std::vector<uint8_t> codes(x.size() / 2);
  const BF16 norm = tq4_compress(rotated(x).data(), dim, boundaries.data(), codes.data());
  std::vector<float> y(x.size());
  tq4_decompress(codes.data(), to_f32(norm), dim, centroids.data(), y.data());
  return rotated(y);
}

double dot(const std::vector<float>& a, const std::vector<float>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}
double cosine(const std::vector<float>& a, const std::vector<float>& b) {
  return dot(a, b) / std::sqrt(dot(a, a) * dot(b, b));
}

// Documented: cosine above 0.99 at d = 128; 0.99501 and length 0.9895 on average, which single vectors scatter around.
TEST(Tq4, DirectionsSurvive) {
  auto rng = testing::fresh_rng();
  std::normal_distribution<float> normal;
  for (int64_t dim : kDims) {
    double cosines = 0, lengths = 0;
    constexpr int kVectors = 64;
    for (int i = 0; i < kVectors; ++i) {
      std::vector<float> x(static_cast<size_t>(dim));
      for (float& value : x) value = 3 * normal(rng);
      const std::vector<float> y = there_and_back(x);
      EXPECT_GT(cosine(x, y), 0.95) << dim;
      cosines += cosine(x, y) / kVectors;
      lengths += std::sqrt(dot(y, y) / dot(x, x)) / kVectors;
    }
    EXPECT_NEAR(cosines, 0.99501, 0.002) << dim;
    EXPECT_NEAR(lengths, 0.9895, 0.01) << dim;
  }
}

// The rotation's work: what has few large values is as well off as what has none.
TEST(Tq4, SpikesAndConstantsSurvive) {
  auto rng = testing::fresh_rng();
  for (size_t dim : {128u, 256u, 512u}) {
    std::vector<std::vector<float>> vectors(6, std::vector<float>(dim, 0));
    vectors[0][rng() % dim] = -7;
    vectors[1][3] = 1, vectors[1][dim - 1] = 100;
    std::fill(vectors[2].begin(), vectors[2].end(), 0.25f);
    for (size_t i = 0; i < dim; i += 2) vectors[3][i] = 1;
    for (size_t i = 0; i < dim; ++i) vectors[4][i] = static_cast<float>(i);
    for (size_t i = 0; i < dim; ++i) vectors[5][i] = static_cast<float>(i % 16 == 5 ? 40 : 1);
    for (size_t i = 0; i < vectors.size(); ++i)
      EXPECT_GT(cosine(vectors[i], there_and_back(vectors[i])), 0.985) << dim << ", vector " << i;
  }
}

TEST(Tq4, TheEvenValueIsInTheHighNibbleAndEveryPairSurvives) {
  const auto [centroids, boundaries] = tq4_codebook(64);
  for (int pair = 0; pair < 256; ++pair) {
    uint8_t codes[32] = {};
    codes[0] = static_cast<uint8_t>(pair);
    float x[64];
    tq4_decompress(codes, 1, 64, centroids.data(), x);
    EXPECT_EQ(x[0], centroids[static_cast<size_t>(pair >> 4)]);
    EXPECT_EQ(x[1], centroids[static_cast<size_t>(pair & 15)]);
    EXPECT_EQ(tq4_level(x[0], boundaries.data()) << 4 | tq4_level(x[1], boundaries.data()), pair);
  }
}

TEST(Tq4, AValueOnABoundaryTakesTheLowerLevel) {
  const auto [centroids, boundaries] = tq4_codebook(128);
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (int i = 0; i < 15; ++i) {
    const float boundary = boundaries[static_cast<size_t>(i)];
    EXPECT_EQ(tq4_level(boundary, boundaries.data()), i);
    EXPECT_EQ(tq4_level(std::nextafter(boundary, kInfinity), boundaries.data()), i + 1);
    EXPECT_EQ(tq4_level(std::nextafter(boundary, -kInfinity), boundaries.data()), i);
  }
}

TEST(Tq4, ZerosStayZeros) {
  const std::vector<float> zeros(256, 0.0f);
  EXPECT_EQ(there_and_back(zeros), zeros);
}

TEST(Tq4, LengthsAreThoseOfTheVectors) {
  std::vector<float> x(256, 0.0f);
  x[0] = 3, x[9] = -4;
  std::vector<uint8_t> codes(128);
  for (const float scale : {1.0f, 1e-18f, 1e18f}) {
    std::vector<float> scaled = x;
    for (float& value : scaled) value *= scale;
    const BF16 norm = tq4_compress(scaled.data(), 256, tq4_codebook(256).boundaries.data(), codes.data());
    EXPECT_NEAR(to_f32(norm) / scale, 5, 5.0 / 256);
  }
}

TEST(Tq4, BytesOfAVector) {
  EXPECT_EQ(tq4_bytes(64), 34);
  EXPECT_EQ(tq4_bytes(128), 66);
  EXPECT_EQ(tq4_bytes(256), 130);
  EXPECT_EQ(tq4_bytes(512), 258);
  EXPECT_EQ(10 * 4 * 2 * tq4_bytes(512), 20640);  // a token of Gemma 4 31B, keys and values of its full layers
}

TEST(Tq4, Lengths) {
  for (int64_t dim : kDims) EXPECT_TRUE(tq4_supports(dim));
  for (int64_t dim : {0, 1, 32, 65, 96, 192, 320, 2048, -64}) EXPECT_FALSE(tq4_supports(dim)) << dim;
}

}  // namespace
}  // namespace tessera::quant
