// What quantizers promise beyond the reference vectors: errors within the format's bound on fresh data, no crash on any
// input, the same bytes for any number of threads.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "quant/rows.h"
#include "test_util.h"

namespace tessera::quant {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<const Format*> block_formats() {
  std::vector<const Format*> out;
  for (const Format& f : all_formats()) {
    if (f.quantize && f.block_values > 1) out.push_back(&f);
  }
  return out;
}

std::vector<char> pack(const Format& format, const std::vector<float>& values) {
  std::vector<char> blocks(static_cast<size_t>(format.bytes_for(static_cast<int64_t>(values.size()))));
  format.quantize(values.data(), static_cast<int64_t>(values.size()), blocks.data());
  return blocks;
}

std::vector<float> unpack(const Format& format, const std::vector<char>& blocks) {
  std::vector<float> values(blocks.size() / static_cast<size_t>(format.block_bytes) *
                            static_cast<size_t>(format.block_values));
  format.dequantize(blocks.data(), static_cast<int64_t>(values.size()), values.data());
  return values;
}

std::vector<float> round_trip(const Format& format, const std::vector<float>& values) {
  return unpack(format, pack(format, values));
}

double relative_error(const std::vector<float>& values, const std::vector<float>& truth) {
  double error = 0, norm = 0;
  for (size_t i = 0; i < truth.size(); ++i) {
    error += std::pow(double{values[i]} - double{truth[i]}, 2);
    norm += std::pow(double{truth[i]}, 2);
  }
  return std::sqrt(error / norm);
}

// Relative errors of ggml's quantizers on 2^20 values of each kind; ours on 2^16 fresh ones must not be worse by more
// than the spread of the sample.
struct Bound {
  GgmlType type;
  double gaussian, laplace;
};
constexpr Bound kBounds[] = {
    {GgmlType::kQ8_0, 0.00535, 0.00674}, {GgmlType::kQ6_K, 0.01777, 0.02167}, {GgmlType::kQ5_K, 0.03613, 0.04278},
    {GgmlType::kQ4_K, 0.07141, 0.08462}, {GgmlType::kQ4_0, 0.0859, 0.1069},   {GgmlType::kQ5_0, 0.0427, 0.0535},
};

TEST(Quantize, StaysWithinTheErrorOfGgmlOnFreshValues) {
  auto rng = testing::fresh_rng();
  std::vector<float> gaussian(1 << 16), laplace(gaussian.size());
  for (float& v : gaussian) v = std::normal_distribution<float>()(rng);
  for (float& v : laplace) {
    const float magnitude = std::exponential_distribution<float>()(rng);
    v = rng() & 1 ? magnitude : -magnitude;
  }
  for (const Bound& bound : kBounds) {
    const Format& format = *find_format(bound.type);
    EXPECT_LT(relative_error(round_trip(format, gaussian), gaussian), bound.gaussian * 1.02) << format.name;
    EXPECT_LT(relative_error(round_trip(format, laplace), laplace), bound.laplace * 1.02) << format.name;
  }
}

// Scaling by a power of two changes the stored scales and nothing else, as long as they are normal numbers.
TEST(Quantize, FollowsPowersOfTwo) {
  auto rng = testing::fresh_rng();
  std::vector<float> values(2048), scaled(values.size());
  for (float& v : values) v = std::normal_distribution<float>()(rng);
  for (size_t i = 0; i < values.size(); ++i) scaled[i] = values[i] * 64;
  for (const Format* format : block_formats()) {
    std::vector<float> expected = round_trip(*format, values);
    double error = relative_error(round_trip(*format, scaled), scaled);
    EXPECT_NEAR(error, relative_error(expected, values), 0.02 * error) << format->name;
  }
}

// A value of 40 among Gaussian ones makes the block's steps wide; no error may exceed 3/4 of such a step: half for the
// rounding, the rest for extremes that the search clips and for scales rounded to 6 or 8 bits.
TEST(Quantize, BoundsTheErrorOfRowsWithOutliers) {
  constexpr float kOutlier = 40, kExtent = 45;  // with the far end of a Gaussian
  const std::pair<GgmlType, float> steps[] = {
      {GgmlType::kQ8_0, kOutlier / 127}, {GgmlType::kQ6_K, kOutlier / 32}, {GgmlType::kQ5_0, kOutlier / 16},
      {GgmlType::kQ4_0, kOutlier / 8},   {GgmlType::kQ5_1, kExtent / 31},  {GgmlType::kQ5_K, kExtent / 31},
      {GgmlType::kQ4_1, kExtent / 15},   {GgmlType::kQ4_K, kExtent / 15},
  };
  EXPECT_EQ(std::size(steps), block_formats().size());
  auto rng = testing::fresh_rng();
  std::vector<float> values(4096);
  for (float& v : values) v = std::normal_distribution<float>()(rng);
  for (size_t i = 0; i < values.size(); i += 300) values[i] = i / 300 % 2 ? kOutlier : -kOutlier;
  for (const auto& [type, step] : steps) {
    const Format& format = *find_format(type);
    const std::vector<float> out = round_trip(format, values);
    for (size_t i = 0; i < values.size(); ++i) ASSERT_LE(std::fabs(out[i] - values[i]), 0.75f * step) << format.name;
  }
}

TEST(Quantize, ReproducesItsOwnValues) {
  auto rng = testing::fresh_rng();
  std::vector<float> values(4096);
  for (float& v : values) v = std::normal_distribution<float>()(rng);
  for (const GgmlType type : {GgmlType::kF32, GgmlType::kF16, GgmlType::kBF16, GgmlType::kQ8_0}) {
    const Format& format = *find_format(type);
    const std::vector<char> first = pack(format, values);
    EXPECT_EQ(pack(format, unpack(format, first)), first) << format.name;
  }
  // Searched formats find codes that lie at least about as close as a rounding of the scale.
  for (const Format* format : block_formats()) {
    const std::vector<float> once = round_trip(*format, values);
    EXPECT_LT(relative_error(round_trip(*format, once), once), 0.3 * relative_error(once, values)) << format->name;
  }
}

TEST(Quantize, KeepsZerosExactly) {
  const std::vector<float> zeros(512, 0.0f), minus_zeros(512, -0.0f);
  for (const Format* format : block_formats()) {
    for (const float v : round_trip(*format, zeros)) EXPECT_EQ(v, 0.0f) << format->name;
    for (const float v : round_trip(*format, minus_zeros)) EXPECT_EQ(v, 0.0f) << format->name;
  }
}

TEST(Quantize, KeepsConstants) {
  for (const float constant : {1.0f, -1.0f, 0.1f, -300.0f}) {
    const std::vector<float> values(512, constant);
    for (const Format* format : block_formats()) {
      for (const float v : round_trip(*format, values)) {
        EXPECT_NEAR(v, constant, 2e-3f * std::fabs(constant)) << format->name;
      }
    }
  }
}

TEST(Quantize, KeepsBlocksOfZerosApart) {
  auto rng = testing::fresh_rng();
  std::vector<float> values(1024);
  for (size_t i = 0; i < values.size(); ++i) values[i] = i / 256 == 1 ? 0 : std::normal_distribution<float>()(rng);
  for (const Format* format : block_formats()) {
    const std::vector<float> out = round_trip(*format, values);
    for (size_t i = 256; i < 512; ++i) EXPECT_EQ(out[i], 0.0f) << format->name;
  }
}

TEST(Quantize, SurvivesEveryMagnitude) {
  auto rng = testing::fresh_rng();
  for (int exponent = -149; exponent <= 127; ++exponent) {
    std::vector<float> values(256);
    for (float& v : values) v = std::ldexp(std::uniform_real_distribution<float>(-1, 1)(rng), exponent);
    for (const Format* format : block_formats()) {
      const std::vector<char> blocks = pack(*format, values);
      EXPECT_EQ(find_bad_scale(*format, std::as_bytes(std::span(blocks))), std::nullopt) << format->name << exponent;
      const std::vector<float> out = unpack(*format, blocks);
      // Where the scales are normal f16 numbers the error does not depend on the magnitude.
      if (exponent >= -2 && exponent <= 15) {
        EXPECT_LT(relative_error(out, values), 0.1) << format->name << exponent;
      }
      for (const float v : out) EXPECT_LE(std::fabs(v), std::ldexp(1.2f, std::max(exponent, -20))) << format->name;
    }
  }
}

TEST(Quantize, TakesNanAsZeroAndInfinityAsTheLargest) {
  auto rng = testing::fresh_rng();
  std::vector<float> clean(512);
  for (float& v : clean) v = std::normal_distribution<float>()(rng);
  for (size_t i = 0; i < clean.size(); i += 37) clean[i] = 0;
  std::vector<float> dirty(clean);
  for (size_t i = 0; i < dirty.size(); i += 37) dirty[i] = i % 2 ? kNan : -kNan;
  for (const Format* format : block_formats()) EXPECT_EQ(pack(*format, dirty), pack(*format, clean)) << format->name;

  for (const float infinity : {kInfinity, -kInfinity}) {
    std::vector<float> peaked(clean);
    peaked[5] = infinity;
    for (const Format* format : block_formats()) {
      const std::vector<char> blocks = pack(*format, peaked);
      EXPECT_EQ(find_bad_scale(*format, std::as_bytes(std::span(blocks))), std::nullopt) << format->name;
      const float v = unpack(*format, blocks)[5];
      EXPECT_TRUE(std::isfinite(v)) << format->name;
      EXPECT_GE(v * (infinity > 0 ? 1 : -1), 65504.0f) << format->name << " " << v;
    }
  }
}

TEST(Quantize, DoesNotDependOnTheNumberOfThreads) {
  auto rng = testing::fresh_rng();
  constexpr int64_t kRows = 37, kValues = 1280;  // rows that the grain cuts anywhere
  std::vector<float> values(kRows * kValues);
  for (float& v : values) v = std::normal_distribution<float>()(rng);
  ThreadPool one(1), four(4);
  for (const Format& format : all_formats()) {
    if (!format.quantize) continue;
    std::vector<char> a(static_cast<size_t>(format.bytes_for(kRows * kValues))), b(a.size());
    ASSERT_TRUE(quantize_rows(format, values.data(), kRows, kValues, a.data(), one));
    ASSERT_TRUE(quantize_rows(format, values.data(), kRows, kValues, b.data(), four));
    EXPECT_EQ(a, b) << format.name;
    EXPECT_EQ(a, pack(format, values)) << format.name;
    std::vector<float> x(values.size()), y(values.size());
    ASSERT_TRUE(dequantize_rows(format, a.data(), kRows, kValues, x.data(), one));
    ASSERT_TRUE(dequantize_rows(format, a.data(), kRows, kValues, y.data(), four));
    EXPECT_EQ(x, y) << format.name;
  }
}

TEST(Quantize, WorksOnAnyNumberOfBlocks) {
  auto rng = testing::fresh_rng();
  ThreadPool pool(2);
  for (const Format& format : all_formats()) {
    if (!format.quantize) continue;
    for (const int64_t n_blocks : {1, 2, 3, 7, 65}) {
      std::vector<float> values(static_cast<size_t>(n_blocks * format.block_values)), out(values.size() + 1, 42.0f);
      for (float& v : values) v = std::normal_distribution<float>()(rng);
      std::vector<char> blocks(static_cast<size_t>(n_blocks * format.block_bytes + 1), 77);
      const auto row = static_cast<int64_t>(values.size());
      ASSERT_TRUE(quantize_rows(format, values.data(), 1, row, blocks.data(), pool));
      EXPECT_EQ(blocks.back(), 77) << format.name << ": wrote past its blocks";
      ASSERT_TRUE(dequantize_rows(format, blocks.data(), 1, row, out.data(), pool));
      EXPECT_EQ(out.back(), 42.0f) << format.name << ": wrote past its values";
      out.pop_back();
      EXPECT_LT(relative_error(out, values), 0.15) << format.name << ", " << n_blocks << " blocks";
    }
  }
}

}  // namespace
}  // namespace tessera::quant
