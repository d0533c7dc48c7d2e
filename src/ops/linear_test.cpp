#include <cmath>

#include "ops/conv.h"
#include "ops/matmul.h"
#include "ops/norm.h"
#include "ops/ops_testing.h"
#include "test_util.h"

namespace tessera::ops {
namespace {

using namespace ops::testing;
using tessera::testing::fresh_rng;
constexpr auto kBad = ErrorCode::kInvalidArgument;
using Values = std::vector<double>;

double dot_at(const Tensor& a, const Tensor& b, std::vector<int64_t> index) {
  const int64_t n = index.back(), k_size = a.shape.back();
  index.pop_back();
  const int64_t m = index.back();
  double sum = 0;
  for (int64_t k = 0; k < k_size; ++k) {
    auto left = index, right = index;
    left.back() = m;
    left.push_back(k);
    right.back() = k;
    right.push_back(n);
    sum += broadcast_at(a, left) * broadcast_at(b, right);
  }
  return sum;
}

TEST(Matmul, BatchesBroadcast) {
  auto rng = fresh_rng();
  const struct {
    Shape a, b, out;
  } kShapes[] = {
      {{3, 4}, {4, 5}, {3, 5}},       {{2, 3, 4}, {4, 5}, {2, 3, 5}}, {{2, 1, 3, 4}, {6, 4, 1}, {2, 6, 3, 1}},
      {{1, 4}, {7, 4, 2}, {7, 1, 2}}, {{3, 0}, {0, 2}, {3, 2}},       {{0, 4}, {4, 2}, {0, 2}}};
  for (const auto& s : kShapes) {
    for (DType dtype : {DType::kF32, DType::kBF16}) {
      const Tensor a = random(rng, dtype, s.a), b = random(rng, DType::kF32, s.b);
      Values expected;
      for_each_index(s.out, [&](const auto& index) { expected.push_back(dot_at(a, b, index)); });
      expect_tensor(matmul(a, b), DType::kF32, s.out, expected, 1.001);
    }
  }
  const Tensor row = f32({2}, {1, 2}), matrix = f32({2, 2}, {1, 2, 3, 4});
  expect_tensor(matmul(row, matrix), DType::kF32, {2}, {7, 10});
  expect_tensor(matmul(matrix, row), DType::kF32, {2}, {5, 11});
  expect_tensor(matmul(row, row), DType::kF32, {}, {5});
  expect_error(matmul(matrix, f32({3, 1}, {1, 2, 3})), kBad, "inner sizes differ");
  expect_error(matmul(matrix, i32({2, 1}, {1, 2})), kBad, "float");
  expect_error(matmul(matrix, f32({}, {1})), kBad, "rank 1 or more");
}

TEST(Addmm, ScalesProductAndBias) {
  const Tensor a = f32({1, 2}, {1, 2}), b = f32({2, 2}, {1, 0, 0, 1}), bias = f32({2}, {10, 20});
  expect_tensor(addmm(a, b, &bias, 1, 1), DType::kF32, {1, 2}, {11, 22});
  expect_tensor(addmm(a, b, &bias, 2, 0.5f), DType::kF32, {1, 2}, {7, 14});
  expect_tensor(addmm(a, b, nullptr, 1, 9), DType::kF32, {1, 2}, {1, 2});
  expect_tensor(addmm(a, b, nullptr, 3, 1), DType::kF32, {1, 2}, {3, 6});  // alpha counts without a bias too
  const Tensor half = tensor(DType::kF16, {1, 2}, {1, 2});
  expect_tensor(addmm(half, tensor(DType::kF16, {2, 2}, {1, 0, 0, 1}), &bias, 1, 1), DType::kF32, {1, 2}, {11, 22});
  const Tensor wide = f32({3, 2}, {1, 2, 3, 4, 5, 6});
  expect_error(addmm(a, b, &wide, 1, 1), kBad, "does not broadcast");
}

TEST(GatherMm, PairsOfBatchEntries) {
  auto rng = fresh_rng();
  const Tensor a = random(rng, DType::kF32, {3, 2, 4}), b = random(rng, DType::kF32, {5, 4, 3});
  const Tensor lhs = i32({2, 1}, {2, 0}), rhs = tensor(DType::kU32, {3}, {4, 0, 1});
  Values expected;
  for_each_index({2, 3, 2, 3}, [&](const auto& i) {
    const int64_t left = i[0] == 0 ? 2 : 0, right = (std::vector<int64_t>{4, 0, 1})[static_cast<size_t>(i[1])];
    double sum = 0;
    for (int64_t k = 0; k < 4; ++k) sum += at(a, {left, i[2], k}) * at(b, {right, k, i[3]});
    expected.push_back(sum);
  });
  expect_tensor(gather_mm(a, b, &lhs, &rhs), DType::kF32, {2, 3, 2, 3}, expected);
  const Tensor three = i32({3}, {4, 4, 0});  // absent lhs: entries 0, 1, 2
  expected.clear();
  for_each_index({3, 2, 3}, [&](const auto& i) {
    double sum = 0;
    for (int64_t k = 0; k < 4; ++k) sum += at(a, {i[0], i[1], k}) * at(b, {i[0] == 2 ? 0 : 4, k, i[2]});
    expected.push_back(sum);
  });
  expect_tensor(gather_mm(a, b, nullptr, &three), DType::kF32, {3, 2, 3}, expected);
  const Tensor outside = i32({1}, {5}), reals = f32({1}, {0});
  expect_error(gather_mm(a, b, &three, &outside), ErrorCode::kOutOfRange, "index");
  expect_error(gather_mm(a, b, nullptr, &reals), kBad, "integer");
}

// Straight from the definition, one spatial axis at a time in recursion-free form for up to three axes.
Values conv_reference(const Tensor& x, const Tensor& w, std::vector<ConvAxis> axes, int64_t groups, const Shape& out) {
  const int64_t per_group = w.shape.back(), outputs_per_group = w.shape[0] / groups;
  Values expected;
  Shape kernel;
  for (size_t i = 0; i < axes.size(); ++i) kernel.push_back(w.shape[static_cast<int>(i) + 1]);
  for_each_index(out, [&](const auto& p) {
    double sum = 0;
    for_each_index(kernel, [&](const auto& t) {
      std::vector<int64_t> from{p[0]}, tap{p.back()};
      for (size_t i = 0; i < axes.size(); ++i) {
        from.push_back(p[i + 1] * axes[i].stride + t[i] * axes[i].dilation - axes[i].padding);
        tap.push_back(t[i]);
        if (from.back() < 0 || from.back() >= x.shape[static_cast<int>(i) + 1]) return;
      }
      for (int64_t c = 0; c < per_group; ++c) {
        auto xi = from, wi = tap;
        xi.push_back(p.back() / outputs_per_group * per_group + c);
        wi.push_back(c);
        sum += broadcast_at(x, xi) * broadcast_at(w, wi);
      }
    });
    expected.push_back(sum);
  });
  return expected;
}

TEST(Conv, OneTwoAndThreeAxes) {
  auto rng = fresh_rng();
  const struct {
    Shape x, w;
    std::vector<ConvAxis> axes;
    int64_t groups;
    Shape out;
  } kCases[] = {
      {{2, 9, 4}, {6, 3, 4}, {{2, 1, 1}}, 1, {2, 5, 6}},
      {{1, 9, 4}, {6, 2, 2}, {{1, 0, 3}}, 2, {1, 6, 6}},
      {{2, 5, 6, 3}, {4, 3, 2, 3}, {{1, 1, 1}, {2, 0, 2}}, 1, {2, 5, 2, 4}},
      {{1, 4, 4, 4}, {4, 3, 3, 1}, {{1, 1, 1}, {1, 1, 1}}, 4, {1, 4, 4, 4}},
      {{1, 4, 3, 5, 2}, {3, 2, 2, 3, 2}, {{1, 0, 1}, {1, 1, 1}, {2, 1, 1}}, 1, {1, 3, 4, 3, 3}},
  };
  for (const auto& c : kCases) {
    const Tensor x = random(rng, DType::kF32, c.x), w = random(rng, DType::kF32, c.w);
    expect_tensor(conv(x, w, c.axes, c.groups), DType::kF32, c.out, conv_reference(x, w, c.axes, c.groups, c.out),
                  1.001);
  }
  const Tensor x = random(rng, DType::kF32, {1, 5, 4}), w = random(rng, DType::kF32, {2, 3, 4});
  expect_error(conv(x, w, std::vector<ConvAxis>{{1, 0, 3}}, 1), kBad, "does not fit");
  expect_error(conv(x, w, std::vector<ConvAxis>{{0, 0, 1}}, 1), kBad, "stride 0");
  expect_error(conv(x, w, std::vector<ConvAxis>{{1, 0, 1}}, 3), kBad, "3 groups");
  expect_error(conv(x, w, std::vector<ConvAxis>{{1, 0, 1}}, 2), kBad, "channels per group");
}

// The transpose spreads each input entry over the outputs that a convolution would have read it from.
TEST(ConvTranspose, ScattersWhatConvGathers) {
  auto rng = fresh_rng();
  for (const ConvAxis axis : {ConvAxis{1, 0, 1}, ConvAxis{2, 1, 1, 1}, ConvAxis{3, 2, 2, 0}, ConvAxis{1, 4, 2}}) {
    for (int64_t groups : {1, 2}) {
      const Tensor x = random(rng, DType::kF32, {2, 6, 4}), w = random(rng, DType::kF32, {6, 3, 4 / groups});
      const int64_t size = 5 * axis.stride - 2 * axis.padding + axis.dilation * 2 + 1 + axis.output_padding;
      Values expected(static_cast<size_t>(2 * size * 6), 0.0);
      for_each_index({2, 6, 3, 6, 4 / groups}, [&](const auto& i) {
        const int64_t to = i[1] * axis.stride + i[2] * axis.dilation - axis.padding;
        if (to < 0 || to >= size) return;
        const int64_t channel = i[3] / (6 / groups) * (4 / groups) + i[4];
        expected[static_cast<size_t>((i[0] * size + to) * 6 + i[3])] +=
            at(x, {i[0], i[1], channel}) * at(w, {i[3], i[2], i[4]});
      });
      const auto found = conv_transpose(x, w, std::vector{axis}, groups);
      expect_tensor(found, DType::kF32, {2, size, 6}, expected, 1.001);
    }
  }
}

TEST(ConvTranspose, TwoAndThreeAxesAgreeWithOne) {
  auto rng = fresh_rng();
  const Tensor x = random(rng, DType::kF32, {1, 4, 3}), w = random(rng, DType::kF32, {2, 3, 3});
  const ConvAxis axis{2, 1, 1, 1};
  const Tensor line = conv_transpose(x, w, std::vector{axis}, 1).value();
  const int64_t n = line.shape[1];
  const auto plane =
      conv_transpose(x.reshaped({1, 1, 4, 3}), w.reshaped({2, 1, 3, 3}), std::vector{ConvAxis{}, axis}, 1);
  expect_same(plane, line.reshaped({1, 1, n, 2}));
  const auto volume = conv_transpose(x.reshaped({1, 4, 1, 1, 3}), w.reshaped({2, 3, 1, 1, 3}),
                                     std::vector{axis, ConvAxis{}, ConvAxis{}}, 1);
  expect_same(volume, line.reshaped({1, n, 1, 1, 2}));
}

TEST(RmsNorm, RoundsToTheResultDTypeBeforeTheWeight) {
  auto rng = fresh_rng();
  for (DType x_dtype : {DType::kF32, DType::kBF16, DType::kF16})
    for (DType w_dtype : {DType::kF32, DType::kBF16}) {
      const Tensor x = random(rng, x_dtype, {3, 2, 70}), w = random(rng, w_dtype, {70});
      const DType dtype = x_dtype == w_dtype ? x_dtype : DType::kF32;
      Values expected, plain;
      for_each_index(x.shape, [&](const auto& i) {
        double squares = 0;
        for (int64_t j = 0; j < 70; ++j) squares += at(x, {i[0], i[1], j}) * at(x, {i[0], i[1], j});
        const double value = broadcast_at(x, i) / std::sqrt(squares / 70 + 1e-3);
        plain.push_back(value);
        expected.push_back(round_to(dtype, value) * at(w, {i[2]}));
      });
      expect_tensor(rms_norm(x, &w, 1e-3f), dtype, x.shape, expected, 3);
      expect_tensor(rms_norm(x, nullptr, 1e-3f), x_dtype, x.shape, plain, 3);
    }
  const Tensor short_weight = f32({3}, {1, 1, 1});
  expect_error(rms_norm(f32({2}, {1, 2}), &short_weight, 0), kBad, "must have shape [2]");
  expect_error(rms_norm(i32({2}, {1, 2}), nullptr, 0), kBad, "float");
  expect_error(rms_norm(f32({}, {1}), nullptr, 0), kBad, "needs an axis");
}

TEST(LayerNorm, BiasedVarianceWeightAndBias) {
  auto rng = fresh_rng();
  const Tensor x = random(rng, DType::kF32, {4, 33}), w = random(rng, DType::kF32, {33}),
               b = random(rng, DType::kF32, {33});
  Values expected, plain;
  for_each_index(x.shape, [&](const auto& i) {
    double mean = 0, squares = 0;
    for (int64_t j = 0; j < 33; ++j) mean += at(x, {i[0], j}) / 33;
    for (int64_t j = 0; j < 33; ++j) squares += std::pow(at(x, {i[0], j}) - mean, 2) / 33;
    plain.push_back((at(x, {i[0], i[1]}) - mean) / std::sqrt(squares + 1e-5));
    expected.push_back(plain.back() * at(w, {i[1]}) + at(b, {i[1]}));
  });
  const Tensor full = layer_norm(x, &w, &b, 1e-5f).value();
  for (size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(element<double>(full, static_cast<int64_t>(i)), expected[i], 1e-6);
  expect_tensor(layer_norm(x, nullptr, nullptr, 1e-5f), DType::kF32, x.shape, plain, 3);
}

}  // namespace
}  // namespace tessera::ops
