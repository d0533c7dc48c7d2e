#include "ops/reduce.h"

#include <cmath>
#include <limits>

#include "ops/create.h"
#include "ops/ops_testing.h"
#include "ops/shape_ops.h"
#include "ops/softmax.h"
#include "ops/sort.h"
#include "test_util.h"

namespace tessera::ops {
namespace {

using namespace ops::testing;
using tessera::testing::fresh_rng;
constexpr auto kBad = ErrorCode::kInvalidArgument;
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();
using Axes = std::vector<int32_t>;
using Values = std::vector<double>;

struct Case {
  ReduceOp op;
  double (*reference)(Values);
};
double sum(const Values& v) {
  double total = 0;
  for (double x : v) total += x;
  return total;
}
double median(Values v) {
  std::sort(v.begin(), v.end());
  return (v[(v.size() - 1) / 2] + v[v.size() / 2]) / 2;
}
double moment2(const Values& v) {  // by the other formula
  const double n = static_cast<double>(v.size()), mean = sum(v) / n;
  double squares = 0;
  for (double x : v) squares += x * x;
  return squares / n - mean * mean;
}
const Case kCases[] = {
    {ReduceOp::kSum, [](Values v) { return sum(v); }},
    {ReduceOp::kProd,
     [](Values v) {
       double p = 1;
       for (double x : v) p *= x;
       return p;
     }},
    {ReduceOp::kMax, [](Values v) { return *std::max_element(v.begin(), v.end()); }},
    {ReduceOp::kMin, [](Values v) { return *std::min_element(v.begin(), v.end()); }},
    {ReduceOp::kMean, [](Values v) { return sum(v) / static_cast<double>(v.size()); }},
    {ReduceOp::kVar, [](Values v) { return moment2(v); }},
    {ReduceOp::kStd, [](Values v) { return std::sqrt(moment2(v)); }},
    {ReduceOp::kMedian, [](Values v) { return median(v); }},
    {ReduceOp::kLogSumExp,
     [](Values v) {
       for (double& x : v) x = std::exp(x);
       return std::log(sum(v));
     }},
    {ReduceOp::kAny,
     [](Values v) -> double {
       for (double x : v)
         if (x != 0) return 1;
       return 0;
     }},
    {ReduceOp::kAll,
     [](Values v) -> double {
       for (double x : v)
         if (x == 0) return 0;
       return 1;
     }},
};

DType expected_dtype(ReduceOp op, DType x) {
  if (op == ReduceOp::kAny || op == ReduceOp::kAll) return DType::kBool;
  if (op == ReduceOp::kMax || op == ReduceOp::kMin || is_float(x)) return x;
  if (op != ReduceOp::kSum && op != ReduceOp::kProd) return DType::kF32;
  if (x == DType::kI64) return x;
  return x == DType::kU8 || x == DType::kU32 ? DType::kU32 : DType::kI32;
}

// Collects what index `kept` of the result is made of, straight from the definition.
void check_reduction(const Case& c, const Tensor& x, const Axes& axes, bool keepdims) {
  const auto reduced = [&](int axis) {
    return (axes.empty() && c.op != ReduceOp::kLogSumExp) ||
           std::any_of(axes.begin(), axes.end(), [&](int a) { return a == axis || a + x.shape.rank() == axis; });
  };
  Shape out, kept;
  for (int i = 0; i < x.shape.rank(); ++i) {
    kept.push_back(reduced(i) ? 1 : x.shape[i]);
    if (keepdims || !reduced(i)) out.push_back(kept[i]);
  }
  Values expected;
  for_each_index(kept, [&](const auto& base) {
    Values group;
    for_each_index(x.shape, [&](const auto& index) {
      bool mine = true;
      for (int i = 0; i < x.shape.rank(); ++i)
        mine = mine && (reduced(i) || index[static_cast<size_t>(i)] == base[static_cast<size_t>(i)]);
      if (mine) group.push_back(broadcast_at(x, index));
    });
    expected.push_back(c.reference(group));
  });
  expect_tensor(reduce(c.op, x, axes, keepdims), expected_dtype(c.op, x.dtype), out, expected, 8);
}

TEST(Reduce, EveryOperationDTypeAndAxisSet) {
  auto rng = fresh_rng();
  for (const Case& c : kCases) {
    SCOPED_TRACE(name_of(c.op));
    for (DType dtype : {DType::kF32, DType::kF16, DType::kI32, DType::kI64, DType::kU8, DType::kBool}) {
      const Tensor x = random(rng, dtype, {2, 3, 4}, dtype == DType::kU8 ? 0 : -2, 2);
      for (const Axes& axes : {Axes{}, Axes{1}, Axes{-1}, Axes{0, 2}, Axes{2, 0, 1}, Axes{0}})
        check_reduction(c, x, axes, rng() % 2);
    }
  }
}

TEST(Reduce, EdgeCases) {
  const Tensor empty = filled({2, 0}, 0, DType::kF32).value();
  expect_tensor(reduce(ReduceOp::kSum, empty, Axes{1}, false), DType::kF32, {2}, {0, 0});
  expect_tensor(reduce(ReduceOp::kProd, empty, Axes{1}, false), DType::kF32, {2}, {1, 1});
  expect_tensor(reduce(ReduceOp::kMean, empty, Axes{1}, false), DType::kF32, {2}, {kNaN, kNaN});
  expect_tensor(reduce(ReduceOp::kLogSumExp, empty, Axes{1}, false), DType::kF32, {2}, {-kInf, -kInf});
  for (ReduceOp op : {ReduceOp::kMax, ReduceOp::kMin, ReduceOp::kMedian})
    expect_error(reduce(op, empty, Axes{1}, false), kBad, "of no elements");
  const Tensor x = f32({4}, {1, kNaN, 3, 2});
  for (ReduceOp op : {ReduceOp::kMax, ReduceOp::kMin, ReduceOp::kMedian, ReduceOp::kLogSumExp})
    expect_tensor(reduce(op, x, Axes{0}, false), DType::kF32, {}, {kNaN});
  expect_tensor(reduce(ReduceOp::kVar, f32({3}, {1, 2, 4}), {}, false, 1), DType::kF32, {}, {7.0 / 3}, 2);
  expect_tensor(reduce(ReduceOp::kVar, f32({2}, {1, 2}), {}, false, 5), DType::kF32, {},
                {kInf});  // N - ddof, at least 0
  expect_tensor(reduce(ReduceOp::kLogSumExp, i32({2}, {1, 2}), {}, false), DType::kF32, {2}, {1, 2});  // no axes: none
  expect_tensor(reduce(ReduceOp::kLogSumExp, f32({2}, {1000, 1000}), Axes{0}, false), DType::kF32, {},
                {1000 + std::log(2)});
  expect_tensor(reduce(ReduceOp::kSum, tensor(DType::kI8, {2}, {127, 127}), {}, false), DType::kI32, {}, {254});
  expect_error(reduce(ReduceOp::kSum, x, Axes{1}, false), kBad, "axis 1");
  expect_error(reduce(ReduceOp::kSum, x, Axes{0, -1}, false), kBad, "twice");
}

TEST(ArgBest, FirstIndexWinsAndIsU32) {
  const Tensor x = f32({2, 4}, {1, 5, 5, -2, 0, -3, 7, -3});
  expect_tensor(argmax(x, 1, false), DType::kU32, {2}, {1, 2});
  expect_tensor(argmin(x, -1, true), DType::kU32, {2, 1}, {3, 1});
  expect_tensor(argmax(x, 0, false), DType::kU32, {4}, {0, 0, 1, 0});
  expect_tensor(argmax(i64({3}, {-5, -4, -4}), 0, false), DType::kU32, {}, {1});
  expect_tensor(argmax(f32({3}, {1, kNaN, 9}), 0, false), DType::kU32, {}, {1});
  expect_error(argmax(filled({2, 0}, 0, DType::kF32).value(), 1, false), kBad, "no elements");
}

TEST(Sort, AscendingStableNaNLast) {
  const Tensor x = f32({5}, {3, kNaN, -1, 3, -kInf});
  expect_tensor(sort(x, 0), DType::kF32, {5}, {-kInf, -1, 3, 3, kNaN});
  expect_tensor(argsort(x, 0), DType::kU32, {5}, {4, 2, 0, 3, 1});
  const Tensor y = i64({2, 3}, {5, 1, 3, 4, 2, 9});
  expect_tensor(sort(y, 0), DType::kI64, {2, 3}, {4, 1, 3, 5, 2, 9});
  expect_tensor(argsort(y, -1), DType::kU32, {2, 3}, {1, 2, 0, 1, 0, 2});
}

TEST(Partition, EntryKthIsInPlace) {
  auto rng = fresh_rng();
  const Tensor x = random(rng, DType::kF32, {3, 20});
  for (int64_t kth : {0, 7, 19, -1, -20}) {
    const size_t k = static_cast<size_t>(kth < 0 ? kth + 20 : kth);
    const Values parts = values_of(partition(x, kth, 1)), order = values_of(arg_partition(x, kth, 1));
    for (size_t row = 0; row < 3; ++row) {
      for (size_t i = 0; i < 20; ++i) {
        const double value = parts[row * 20 + i], pivot = parts[row * 20 + k];
        EXPECT_TRUE(i < k ? value <= pivot : value >= pivot);
        EXPECT_EQ(value, at(x, {static_cast<int64_t>(row), static_cast<int64_t>(order[row * 20 + i])}));
      }
    }
  }
  expect_error(partition(x, 20, 1), ErrorCode::kOutOfRange, "index 20");
  expect_error(arg_partition(x, -21, 1), ErrorCode::kOutOfRange, "index -21");
}

TEST(Cumsum, BothDirectionsInclusiveOrNot) {
  const Tensor x = i32({2, 3}, {1, 2, 3, 4, 5, 6});
  expect_tensor(cumsum(x, 1, false, true), DType::kI32, {2, 3}, {1, 3, 6, 4, 9, 15});
  expect_tensor(cumsum(x, 1, true, true), DType::kI32, {2, 3}, {6, 5, 3, 15, 11, 6});
  expect_tensor(cumsum(x, 1, false, false), DType::kI32, {2, 3}, {0, 1, 3, 0, 4, 9});
  expect_tensor(cumsum(x, 0, true, false), DType::kI32, {2, 3}, {4, 5, 6, 0, 0, 0});
  expect_tensor(cumsum(boolean({3}, {1, 1, 1}), 0, false, true), DType::kI32, {3}, {1, 2, 3});
  expect_tensor(cumsum(f32({2}, {0.5, 0.25}), 0, false, true), DType::kF32, {2}, {0.5, 0.75});
  const double high = 0x1p62;  // sums of 64 bits wrap, as those of fewer do
  expect_tensor(cumsum(i64({3}, {high, high, high}), 0, false, true), DType::kI64, {3}, {high, -0x1p63, -high});
}

TEST(Softmax, SumsToOneAlongAnyAxis) {
  auto rng = fresh_rng();
  for (int axis : {0, 1, -1}) {
    const Tensor x = random(rng, DType::kF32, {3, 5, 4}, -30, 30);
    const Tensor last = axis == 0   ? transpose(x, Axes{1, 2, 0}).value()
                        : axis == 1 ? transpose(x, Axes{0, 2, 1}).value()
                                    : x;
    Values expected = to_doubles(last);
    const auto n = static_cast<size_t>(last.shape.back());
    for (size_t row = 0; row < expected.size(); row += n) {
      double total = 0;
      for (size_t i = 0; i < n; ++i) total += std::exp(expected[row + i]);
      for (size_t i = 0; i < n; ++i) expected[row + i] = std::exp(expected[row + i]) / total;
    }
    const Tensor out = softmax(x, axis).value();
    const Tensor found = axis == 0   ? transpose(out, Axes{1, 2, 0}).value()
                         : axis == 1 ? transpose(out, Axes{0, 2, 1}).value()
                                     : out;
    expect_tensor(found, DType::kF32, last.shape, expected, 2);
  }
  expect_tensor(softmax(i32({2}, {5, 5}), 0), DType::kF32, {2}, {0.5, 0.5});
  expect_tensor(softmax(tensor(DType::kBF16, {2}, {5, -kInf}), 0), DType::kBF16, {2}, {1, 0});
  expect_tensor(softmax(f32({2}, {-kInf, -kInf}), 0), DType::kF32, {2}, {kNaN, kNaN});
}

}  // namespace
}  // namespace tessera::ops
