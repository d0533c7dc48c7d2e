#include "quant/group_quantizer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "base/float16.h"
#include "test_util.h"

namespace tessera::quant {
namespace {

constexpr float kValues[] = {-0.5f, -0.25f, 0, 0.125f, 0.3f, 0.75f, 0.9f, 1.0f};

struct Case {
  const char* name;
  GroupQuantization how;
  uint16_t scale_bits;
  float zero;
  std::vector<int> codes;
};

// The vector of neighbour-systems 3.4; signed codes of 8 bits are stored from -128.
TEST(GroupQuantizer, MinMaxGivesTheReferenceVector) {
  const Case cases[] = {
      {"asymmetric 4", {.bits = 4, .group_size = 8}, 0x3dcd, 5, {0, 3, 5, 6, 8, 12, 14, 15}},
      {"symmetric 4", {.bits = 4, .group_size = 8, .symmetric = true}, 0x3e09, 8, {4, 6, 8, 9, 10, 14, 15, 15}},
      {"symmetric 8",
       {.bits = 8, .group_size = 8, .symmetric = true},
       0x3c01,
       128,
       {64, 96, 128, 144, 166, 223, 242, 255}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    uint8_t codes[8];
    const GroupParameters p = quantize_group(kValues, c.how, codes);
    EXPECT_EQ(to_bf16(p.scale).bits, c.scale_bits);
    EXPECT_EQ(p.zero, c.zero);
    EXPECT_EQ(std::vector<int>(codes, codes + 8), c.codes);
  }
}

TEST(GroupQuantizer, EdgesOfMinMax) {
  uint8_t codes[4];
  const GroupQuantization asymmetric{.bits = 4, .group_size = 4};
  const float zeros[4] = {};
  GroupParameters p = quantize_group(zeros, asymmetric, codes);
  EXPECT_GT(p.scale, 0);  // the floor
  for (const uint8_t code : codes) EXPECT_EQ(p.scale * (static_cast<float>(code) - p.zero), 0);
  const float positive[4] = {3, 4, 5, 6};  // zero is part of the range all the same
  p = quantize_group(positive, asymmetric, codes);
  EXPECT_EQ(p.zero, 0);
  EXPECT_EQ(codes[3], 15);
  const float negative[4] = {-3, -4, -5, -6};
  p = quantize_group(negative, asymmetric, codes);
  EXPECT_EQ(p.zero, 15);
  EXPECT_EQ(codes[3], 0);
}

double mean_error(std::span<const float> values, const GroupQuantization& how, double power) {
  std::vector<uint8_t> codes(values.size());
  const GroupParameters p = quantize_group(values, how, codes.data());
  double sum = 0;
  for (size_t i = 0; i < values.size(); ++i)
    sum +=
        std::pow(std::fabs(static_cast<double>(values[i] - p.scale * (static_cast<float>(codes[i]) - p.zero))), power);
  return sum / static_cast<double>(values.size());
}

// Over many groups the moved zero must pay off in the norm it is moved for, and never leave the code range.
TEST(GroupQuantizer, HqqBeatsItsOwnStart) {
  auto rng = tessera::testing::fresh_rng();
  std::normal_distribution<float> normal(0, 0.02f);
  double hqq = 0, min_max = 0;
  for (int group = 0; group < 400; ++group) {
    float values[32];
    for (float& v : values) v = normal(rng);
    values[rng() % 32] *= 4;  // an outlier
    hqq += mean_error(values, {.bits = 4, .group_size = 32, .method = GroupMethod::kHqq}, 0.7);
    min_max += mean_error(values, {.bits = 4, .group_size = 32}, 0.7);
  }
  EXPECT_LT(hqq, min_max);
}

TEST(GroupQuantizer, HqqZerosAreFractionalAndConstantsSurvive) {
  std::mt19937 rng(3);
  std::normal_distribution<float> normal(0, 1);
  float values[32];
  for (float& v : values) v = normal(rng);
  uint8_t codes[32];
  const GroupParameters p = quantize_group(values, {.bits = 4, .group_size = 32, .method = GroupMethod::kHqq}, codes);
  EXPECT_NE(p.zero, std::nearbyint(p.zero));
  EXPECT_EQ(p.zero, to_f32(to_bf16(p.zero)));
  EXPECT_EQ(p.scale, to_f32(to_bf16(p.scale)));
  const float same[32] = {};
  const GroupParameters flat = quantize_group(same, {.bits = 4, .group_size = 32, .method = GroupMethod::kHqq}, codes);
  EXPECT_EQ(flat.scale * (static_cast<float>(codes[0]) - flat.zero), 0);
}

// Mean relative error: the bounds ExecuTorch's own tests hold these quantizers to.
TEST(GroupQuantizer, MatricesStayWithinTheBounds) {
  auto rng = tessera::testing::fresh_rng();
  std::normal_distribution<float> normal(0, 1);
  constexpr int64_t kN = 16, kK = 256;
  std::vector<float> values(kN * kK);
  for (float& v : values) v = normal(rng);
  struct Bound {
    GroupQuantization how;
    double most;
  };
  const Bound bounds[] = {
      {{.bits = 4, .group_size = 32}, 0.15},
      {{.bits = 4, .group_size = 32, .symmetric = true}, 0.15},
      {{.bits = 4, .group_size = 32, .method = GroupMethod::kHqq}, 0.15},
      {{.bits = 5, .group_size = 64}, 0.08},
      {{.bits = 6, .group_size = 32, .symmetric = true}, 0.04},
      {{.bits = 8, .group_size = 32, .symmetric = true}, 0.02},
      {{.bits = 8, .group_size = 0, .symmetric = true}, 0.02},
  };
  for (const Bound& bound : bounds) {
    const auto bytes = std::as_bytes(std::span(values));
    const auto matrix = quantized({find_format("F32"), bytes, nullptr, nullptr, kN, kK}, bound.how);
    ASSERT_TRUE(matrix) << matrix.error().message;
    const AffineShape& shape = (*matrix)->shape();
    EXPECT_EQ(shape.group_size, bound.how.group_size == 0 ? kK : bound.how.group_size);
    const auto rows = (*matrix)->rows(0, kN);
    ASSERT_TRUE(rows) << rows.error().message;
    const std::vector<float> back = dequantize(*rows, shape);
    double error = 0, norm = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      error += std::fabs(static_cast<double>(values[i]) - back[i]);
      norm += std::fabs(static_cast<double>(values[i]));
    }
    EXPECT_LT(error / norm, bound.most) << shape.bits << " bits";
    // The cut into rows changes nothing.
    const auto part = (*matrix)->rows(5, 7);
    EXPECT_TRUE(std::equal(part->codes.begin(), part->codes.end(), rows->codes.begin() + 5 * kK));
  }
}

TEST(GroupQuantizer, RefusesWhatThereIsNoRuleFor) {
  EXPECT_NE(check({.bits = 3}, 64).error().message.find("3 bits"), std::string::npos);
  EXPECT_NE(check({.group_size = 48}, 64).error().message.find("groups of 48"), std::string::npos);
  EXPECT_EQ(check({.symmetric = true, .method = GroupMethod::kHqq}, 64).error().code, ErrorCode::kNotImplemented);
  const float nan[4] = {1, NAN, 2, 3};
  const auto matrix = quantized({find_format("F32"), std::as_bytes(std::span(nan)), nullptr, nullptr, 1, 4}, {});
  const auto rows = (*matrix)->rows(0, 1);
  ASSERT_FALSE(rows);
  EXPECT_NE(rows.error().message.find("infinities or NaN"), std::string::npos);
  const float huge[4] = {3e38f, -3e38f, 0, 0};
  for (const GroupMethod method : {GroupMethod::kMinMax, GroupMethod::kHqq}) {
    const auto wide =
        quantized({find_format("F32"), std::as_bytes(std::span(huge)), nullptr, nullptr, 1, 4}, {.method = method});
    const auto refused = (*wide)->rows(0, 1);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("row 0: values too large"), std::string::npos);
  }
}

}  // namespace
}  // namespace tessera::quant
