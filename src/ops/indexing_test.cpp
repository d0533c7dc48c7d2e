#include "ops/indexing.h"
#include "ops/create.h"
#include "ops/ops_testing.h"
#include "test_util.h"

namespace tessera::ops {
namespace {

using namespace ops::testing;
using tessera::testing::fresh_rng;
constexpr auto kBad = ErrorCode::kInvalidArgument;
constexpr auto kRange = ErrorCode::kOutOfRange;
using Axes = std::vector<int32_t>;

TEST(Take, LiteralRemovesTheAxis) {
  const Tensor x = counting(DType::kF32, {2, 3, 2});
  expect_tensor(take(x, 1, 1), DType::kF32, {2, 2}, {2, 3, 8, 9});
  expect_tensor(take(x, -1, -1), DType::kF32, {2, 3}, {1, 3, 5, 7, 9, 11});
  expect_error(take(x, 3, 1), kRange, "index 3");
  expect_error(take(x, -4, 1), kRange, "index -4");
}

TEST(Take, TensorReplacesTheAxisByItsShape) {
  auto rng = fresh_rng();
  for (DType dtype : {DType::kI32, DType::kI64, DType::kU8}) {
    const Tensor x = random(rng, DType::kBF16, {3, 5, 4});
    const Tensor indices = random(rng, dtype, {2, 2}, dtype == DType::kU8 ? 0 : -5, 4);
    std::vector<double> expected;
    for_each_index({3, 2, 2, 4}, [&](const auto& i) {
      const auto entry = static_cast<int64_t>(at(indices, {i[1], i[2]}));
      expected.push_back(at(x, {i[0], entry < 0 ? entry + 5 : entry, i[3]}));
    });
    expect_tensor(take(x, indices, 1), DType::kBF16, {3, 2, 2, 4}, expected);
  }
  expect_error(take(f32({2}, {1, 2}), i32({1}, {2}), 0), kRange, "index 2");
  expect_error(take(f32({2}, {1, 2}), f32({1}, {1}), 0), kBad, "integer");
  expect_tensor(take(counting(DType::kF32, {3, 2}), i64({}, {2}), 0), DType::kF32, {2}, {4, 5});
}

TEST(TakeAlongAxis, OtherAxesBroadcast) {
  auto rng = fresh_rng();
  const Tensor x = random(rng, DType::kF32, {3, 4, 1}), indices = random(rng, DType::kI64, {1, 2, 5}, -4, 3);
  std::vector<double> expected;
  for_each_index({3, 2, 5}, [&](const auto& i) {
    const auto entry = static_cast<int64_t>(at(indices, {0, i[1], i[2]}));
    expected.push_back(at(x, {i[0], entry < 0 ? entry + 4 : entry, 0}));
  });
  expect_tensor(take_along_axis(x, indices, 1), DType::kF32, {3, 2, 5}, expected);
  expect_error(take_along_axis(x, i32({1}, {0}), 1), kBad, "rank 3");
  expect_error(take_along_axis(x, i32({1, 1, 1}, {4}), 1), kRange, "index 4");
}

TEST(Gather, BlocksAtBroadcastIndices) {
  auto rng = fresh_rng();
  const Tensor x = random(rng, DType::kF32, {5, 6, 4});
  const Tensor rows = i32({3, 1}, {0, -2, 2}), columns = i64({2}, {4, 1});
  std::vector<double> expected;
  for_each_index({3, 2, 2, 1, 4}, [&](const auto& i) {
    const int64_t row = (std::vector<int64_t>{0, 3, 2})[static_cast<size_t>(i[0])] + i[2];
    const int64_t column = (std::vector<int64_t>{4, 1})[static_cast<size_t>(i[1])] + i[3];
    expected.push_back(at(x, {row, column, i[4]}));
  });
  expect_tensor(gather(x, std::vector{rows, columns}, Axes{0, 1}, Axes{2, 1, 4}), DType::kF32, {3, 2, 2, 1, 4},
                expected);
  expect_error(gather(x, std::vector{rows}, Axes{0, 1}, Axes{2, 1, 4}), kBad, "1 index tensors for 2 axes");
  expect_error(gather(x, std::vector{rows}, Axes{0}, Axes{2, 1}), kBad, "2 slice sizes");
  expect_error(gather(x, std::vector{rows, rows}, Axes{0, 0}, Axes{2, 1, 4}), kBad, "twice");
  expect_error(gather(x, std::vector{rows}, Axes{-1}, Axes{2, 1, 4}), kBad, "negative");
  expect_error(gather(x, std::vector{rows}, Axes{0}, Axes{6, 1, 4}), kBad, "a slice of 6");
  expect_error(gather(x, std::vector{i32({}, {4})}, Axes{0}, Axes{2, 1, 4}), kRange, "crosses the end");
}

TEST(ScatterAdd, AddsDuplicatesToo) {
  const Tensor x = tensor(DType::kI32, {2, 3}, {1, 2, 3, 4, 5, 6});
  const Tensor indices = i64({2, 4}, {0, 0, -1, 1, 2, 2, 2, 0});
  expect_tensor(scatter_add(x, indices, f32({2, 4}, {1, 1, 1, 1, 10, 10, 10, 1.9}), 1), DType::kI32, {2, 3},
                {3, 3, 4, 5, 5, 36});
  expect_tensor(scatter_add(f32({2, 1}, {0, 0}), i32({3, 1}, {1, 1, 0}), f32({}, {0.5}), 0), DType::kF32, {2, 1},
                {0.5, 1});
  expect_tensor(scatter_add(i64({1}, {0x1p62}), i32({1}, {0}), i64({1}, {0x1p62}), 0), DType::kI64, {1}, {-0x1p63});
  expect_error(scatter_add(x, i32({1}, {0}), f32({}, {1}), 0), kBad, "rank 2");
  expect_error(scatter_add(x, i32({1, 3}, {0, 2, 0}), f32({}, {1}), 0), kRange, "index 2");
}

TEST(IndexCopy, LaterDuplicatesWin) {
  Tensor dst = zeros({2, 4}, DType::kF16).value();
  EXPECT_TRUE(index_copy(dst, f32({2, 3}, {1, 2, 3, 4, 5, 6}), i64({3}, {0, -1, 0}), 1).has_value());
  expect_tensor(dst, DType::kF16, {2, 4}, {3, 0, 0, 2, 6, 0, 0, 5});
  const Tensor before = clone(dst).value();
  expect_error(index_copy(dst, f32({2, 1}, {1, 2}), i32({1}, {0}), 1), kBad, "must be i64");
  expect_error(index_copy(dst, f32({2, 1}, {1, 2}), i64({1, 1}, {0}), 1), kBad, "rank 1");
  expect_error(index_copy(dst, f32({2, 2}, {1, 2, 3, 4}), i64({1}, {0}), 1), kBad, "must have shape [2, 1]");
  expect_error(index_copy(dst, f32({2, 2}, {1, 2, 3, 4}), i64({2}, {0, 4}), 1), kRange, "index 4");
  expect_same(dst, before);  // nothing is written before everything is checked
}

}  // namespace
}  // namespace tessera::ops
