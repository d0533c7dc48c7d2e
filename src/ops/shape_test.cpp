#include "ops/create.h"
#include "ops/join.h"
#include "ops/ops_testing.h"
#include "ops/shape_ops.h"
#include "ops/slice.h"
#include "test_util.h"

namespace tessera::ops {
namespace {

using namespace ops::testing;
using tessera::testing::fresh_rng;
constexpr auto kBad = ErrorCode::kInvalidArgument;
using Ints = std::vector<int64_t>;
using Axes = std::vector<int32_t>;

TEST(Allocate, AZeroDoesNotHideTheOtherSizes) {
  constexpr int64_t kHuge = int64_t{1} << 31;
  for (const Shape& shape : {Shape{0, kHuge, kHuge, kHuge}, Shape{kHuge, kHuge, kHuge, 0}, Shape{kHuge, kHuge, kHuge}})
    for (const auto make : {Tensor::allocate, Tensor::zeroed})
      expect_error(make(DType::kF32, shape), ErrorCode::kOutOfMemory, "too large");
  EXPECT_EQ(Tensor::allocate(DType::kF32, {kHuge, 0}).value().n_bytes(), 0u);
}

TEST(Reshape, InfersOneSizeAndSharesBytes) {
  const Tensor x = counting(DType::kF32, {2, 6});
  const auto out = reshape(x, Ints{3, -1, 2});
  EXPECT_EQ(out->data, x.data);
  expect_tensor(out, DType::kF32, {3, 2, 2}, to_doubles(x));
  expect_error(reshape(x, Ints{5, -1}), kBad, "cannot infer");
  expect_error(reshape(x, Ints{-1, -1}), kBad, "negative");
  expect_error(reshape(x, Ints{2, 5}), kBad, "12 elements");
  expect_tensor(reshape(f32({1}, {7}), Ints{}), DType::kF32, {}, {7});
}

TEST(ExpandSqueeze, AddAndDropAxes) {
  const Tensor x = counting(DType::kI32, {2, 3});
  EXPECT_TRUE(expand_dims(x, 0)->shape == (Shape{1, 2, 3}));
  EXPECT_TRUE(expand_dims(x, -1)->shape == (Shape{2, 3, 1}));
  EXPECT_TRUE(expand_dims(x, -3)->shape == (Shape{1, 2, 3}));
  expect_error(expand_dims(x, 3), kBad, "axis 3");
  const Tensor y = counting(DType::kI32, {1, 2, 1, 3});
  EXPECT_TRUE(squeeze(y, {})->shape == (Shape{2, 3}));
  EXPECT_TRUE(squeeze(y, Axes{0, 1, 17})->shape == (Shape{2, 1, 3}));  // larger and out-of-range axes are ignored
  EXPECT_TRUE(squeeze(y, Axes{-2})->shape == (Shape{1, 2, 3}));
}

TEST(Transpose, EveryPermutationOfThreeAxes) {
  auto rng = fresh_rng();
  for (DType dtype : {DType::kU8, DType::kBF16, DType::kF32, DType::kI64}) {
    const Tensor x = random(rng, dtype, {2, 3, 4}, 0, 100);
    Axes perm{0, 1, 2};
    do {
      std::vector<double> expected;
      const Shape shape{x.shape[perm[0]], x.shape[perm[1]], x.shape[perm[2]]};
      for_each_index(shape, [&](const auto& index) {
        int64_t source[3];
        for (size_t i = 0; i < 3; ++i) source[perm[i]] = index[i];
        expected.push_back(at(x, {source[0], source[1], source[2]}));
      });
      expect_tensor(transpose(x, perm), dtype, shape, expected);
    } while (std::next_permutation(perm.begin(), perm.end()));
  }
  expect_error(transpose(counting(DType::kF32, {2, 3}), Axes{0}), kBad, "permutation of 1");
  expect_error(transpose(counting(DType::kF32, {2, 3}), Axes{0, 0}), kBad, "twice");
}

TEST(BroadcastTo, KeepsSizesMarkedMinusOne) {
  const Tensor x = counting(DType::kF32, {3, 1});
  expect_tensor(broadcast_to(x, Ints{2, -1, 2}), DType::kF32, {2, 3, 2}, {0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2, 2});
  expect_error(broadcast_to(x, Ints{-1, 3, 2}), kBad, "does not have");
  expect_error(broadcast_to(x, Ints{4, 2}), kBad, "does not broadcast");
  EXPECT_EQ(broadcast_to(x, Ints{3, 1})->data, x.data);
}

TEST(AsStrided, ReadsTheFlatInputAndNothingElse) {
  const Tensor x = counting(DType::kI32, {2, 6});
  expect_tensor(as_strided(x, Ints{3, 2}, Ints{2, 3}, 1), DType::kI32, {3, 2}, {1, 4, 3, 6, 5, 8});
  expect_tensor(as_strided(x, Ints{2, 2}, Ints{-1, 0}, 3), DType::kI32, {2, 2}, {3, 3, 2, 2});
  expect_error(as_strided(x, Ints{3}, Ints{6}, 0), ErrorCode::kOutOfRange, "reads outside");
  expect_error(as_strided(x, Ints{3}, Ints{-1}, 1), ErrorCode::kOutOfRange, "reads outside");
  expect_error(as_strided(x, Ints{2}, Ints{1}, ~uint64_t{0}), ErrorCode::kOutOfRange, "reads outside");
  expect_tensor(as_strided(x, Ints{0}, Ints{100}, 99), DType::kI32, {0}, {});
}

TEST(Tile, PadsTheShorterSide) {
  const Tensor x = f32({1, 2}, {1, 2});
  expect_tensor(tile(x, Ints{2}), DType::kF32, {1, 4}, {1, 2, 1, 2});
  expect_tensor(tile(x, Ints{2, 1, 2}), DType::kF32, {2, 1, 4}, {1, 2, 1, 2, 1, 2, 1, 2});
  expect_tensor(tile(f32({2, 2}, {1, 2, 3, 4}), Ints{2, 2}), DType::kF32, {4, 4},
                {1, 2, 1, 2, 3, 4, 3, 4, 1, 2, 1, 2, 3, 4, 3, 4});
  expect_tensor(tile(x, Ints{0}), DType::kF32, {1, 0}, {});
  expect_error(tile(x, Ints{-1}), kBad, "negative");
  const Tensor empty = filled({1 << 30, 1 << 30, 0}, 0, DType::kF32).value();
  expect_error(tile(empty, Ints{int64_t{1} << 40, 1, 1}), kBad, "too large");
  expect_error(tile(empty, Ints{8, 8, 1}), ErrorCode::kOutOfMemory, "64 bits");
}

TEST(Repeat, EachElementInARow) {
  const Tensor x = f32({2, 2}, {1, 2, 3, 4});
  expect_tensor(repeat(x, 2, 0), DType::kF32, {4, 2}, {1, 2, 1, 2, 3, 4, 3, 4});
  expect_tensor(repeat(x, 3, -1), DType::kF32, {2, 6}, {1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4});
  expect_error(repeat(x, 0, 0), kBad, "positive");
  expect_error(repeat(x, -1, 0), kBad, "positive");
}

TEST(Roll, PositiveShiftsTowardsHigherIndices) {
  const Tensor x = counting(DType::kI64, {2, 3});
  expect_tensor(roll(x, Ints{1}, Axes{1}), DType::kI64, {2, 3}, {2, 0, 1, 5, 3, 4});
  expect_tensor(roll(x, Ints{-4, 1}, Axes{1, 0}), DType::kI64, {2, 3}, {4, 5, 3, 1, 2, 0});
  expect_same(roll(x, Ints{5}, Axes{}), x);
  expect_error(roll(x, Ints{1, 2}, Axes{0}), kBad, "2 shifts");
}

TEST(Slice, FollowsNumPy) {
  const Tensor x = counting(DType::kI32, {10});
  const struct {
    int64_t start, stop, step;
    std::vector<double> expected;
  } kCases[] = {
      {2, 5, 1, {2, 3, 4}}, {-3, 2147483647, 1, {7, 8, 9}}, {0, 10, 4, {0, 4, 8}}, {5, 2, 1, {}},
      {9, 5, -2, {9, 7}},   {-1, -11, -3, {9, 6, 3, 0}},    {5, -1, -1, {}},       {100, 200, 1, {}},
      {100, 7, -1, {9, 8}}, {-100, 2, 1, {0, 1}},
  };
  for (const auto& c : kCases)
    expect_tensor(slice(x, 0, c.start, c.stop, c.step), DType::kI32, {static_cast<int64_t>(c.expected.size())},
                  c.expected);
  expect_error(slice(x, 0, 0, 5, 0), kBad, "step must not be 0");
  expect_error(slice(x, 1, 0, 5, 1), kBad, "axis 1");
  expect_tensor(slice(counting(DType::kI32, {2, 3}), -1, 1, 3, 1), DType::kI32, {2, 2}, {1, 2, 4, 5});
  EXPECT_EQ(slice(x, 0, 0, 10, 1)->data, x.data);
}

TEST(SliceUpdate, CastsBroadcastsAndClamps) {
  Tensor dst = zeros({2, 4}, DType::kF32).value();
  EXPECT_TRUE(slice_update(dst, i32({}, {7}), 1, 1, 3, 1).has_value());
  expect_tensor(dst, DType::kF32, {2, 4}, {0, 7, 7, 0, 0, 7, 7, 0});
  EXPECT_TRUE(slice_update(dst, f32({2, 2}, {1, 2, 3, 4}), 1, 0, 4, 2).has_value());
  expect_tensor(dst, DType::kF32, {2, 4}, {1, 7, 2, 0, 3, 7, 4, 0});
  EXPECT_TRUE(slice_update(dst, f32({1, 4}, {9, 9, 9, 9}), 0, -1, 100, 1).has_value());
  expect_tensor(dst, DType::kF32, {2, 4}, {1, 7, 2, 0, 9, 9, 9, 9});
  const Tensor before = clone(dst).value();
  EXPECT_TRUE(slice_update(dst, f32({5}, {1, 1, 1, 1, 1}), 1, 2, 2, 1).has_value());  // start == stop: any shape
  expect_error(slice_update(dst, f32({2, 3}, {1, 1, 1, 1, 1, 1}), 1, 2, 5, 1), kBad, "does not fit");
  expect_error(slice_update(dst, f32({2, 1}, {1, 1}), 1, 4, 5, 1), ErrorCode::kOutOfRange, "outside axis");
  expect_error(slice_update(dst, f32({2, 2}, {1, 1, 1, 1}), 1, 3, 1, 1), kBad, "does not fit");
  expect_error(slice_update(dst, f32({2, 2}, {1, 1, 1, 1}), 1, 0, 2, 0), kBad, "at least 1");
  expect_same(dst, before);
}

TEST(Concatenate, PromotesAndChecksShapes) {
  const Tensor a = counting(DType::kI32, {2, 2}), b = tensor(DType::kF16, {2, 1}, {0.5, 1.5});
  expect_tensor(concatenate(std::vector{a, b, a}, -1), DType::kF16, {2, 5}, {0, 1, 0.5, 0, 1, 2, 3, 1.5, 2, 3});
  expect_error(concatenate(std::vector{a, b}, 0), kBad, "cannot be joined");
  expect_error(concatenate(std::vector<Tensor>(), 0), kBad, "nothing");
  expect_tensor(stack(std::vector{a, a}, 1), DType::kI32, {2, 2, 2}, {0, 1, 0, 1, 2, 3, 2, 3});
  expect_tensor(stack(std::vector{a, a}, -1), DType::kI32, {2, 2, 2}, {0, 0, 1, 1, 2, 2, 3, 3});
  expect_error(stack(std::vector{a, b}, 0), kBad, "must have shape");
}

TEST(Split, OneSizeIsAChunkSeveralAreLengths) {
  const Tensor x = counting(DType::kI32, {7});
  auto chunks = split(x, Ints{3}, 0, 3);
  ASSERT_TRUE(chunks.has_value());
  expect_tensor((*chunks)[2], DType::kI32, {1}, {6});
  auto lengths = split(x, Ints{2, 1, 1}, 0, 3);  // the last part takes the rest, whatever its size says
  ASSERT_TRUE(lengths.has_value());
  expect_tensor((*lengths)[0], DType::kI32, {2}, {0, 1});
  expect_tensor((*lengths)[1], DType::kI32, {1}, {2});
  expect_tensor((*lengths)[2], DType::kI32, {4}, {3, 4, 5, 6});
  expect_error(split(x, Ints{3}, 0, 2), kBad, "3 parts, 2 expected");
  expect_error(split(x, Ints{0}, 0, 1), kBad, "positive");
  expect_error(split(x, Ints{5, 5, 1}, 0, 3), kBad, "do not fit");
  expect_error(split(x, Ints{}, 0, 0), kBad, "at least one");
}

TEST(Pad, ConstantAndEdge) {
  const Tensor x = f32({2, 2}, {1, 2, 3, 4});
  expect_tensor(pad(x, Ints{1, 0, 0, 2}, PadMode::kConstant, 0.5f), DType::kF32, {3, 4},
                {0.5, 0.5, 0.5, 0.5, 1, 2, 0.5, 0.5, 3, 4, 0.5, 0.5});
  expect_tensor(pad(x, Ints{1, 1, 2, 1}, PadMode::kEdge, 0), DType::kF32, {4, 5},
                {1, 1, 1, 2, 2, 1, 1, 1, 2, 2, 3, 3, 3, 4, 4, 3, 3, 3, 4, 4});
  expect_error(pad(x, Ints{1, 0, 0}, PadMode::kConstant, 0), kBad, "3 pad widths");
  expect_error(pad(x, Ints{-1, 0, 0, 0}, PadMode::kConstant, 0), kBad, "negative");
}

TEST(Create, RangesAndFills) {
  expect_tensor(arange(0, 5, 2, DType::kI32), DType::kI32, {3}, {0, 2, 4});
  expect_tensor(arange(3, -1, -2, DType::kF16), DType::kF16, {2}, {3, 1});
  expect_error(arange(0, 5, 0, DType::kI32), kBad, "must not be 0");
  expect_error(arange(5, 5, 1, DType::kI32), kBad, "empty");
  expect_error(arange(0, 5, 1, DType::kBool), kBad, "bool");
  expect_tensor(full({}, 2.5f, DType::kF32), DType::kF32, {}, {2.5});
  expect_tensor(full({2}, 16777217.0f, DType::kI32), DType::kI32, {2}, {16777216, 16777216});  // passes through f32
  expect_error(full({2, 0}, 1, DType::kF32), kBad, "positive");
  expect_error(full({1 << 20, 1 << 20}, 1, DType::kF32), ErrorCode::kOutOfMemory, "4 GiB");
  expect_tensor(filled({2, 0}, 1, DType::kF32), DType::kF32, {2, 0}, {});
}

TEST(Create, Triangles) {
  expect_tensor(tri(2, 3, 0, DType::kBool), DType::kBool, {2, 3}, {1, 0, 0, 1, 1, 0});
  expect_tensor(tri(3, 2, -1, DType::kF32), DType::kF32, {3, 2}, {0, 0, 1, 0, 1, 1});
  const Tensor x = counting(DType::kI32, {2, 2, 2});
  expect_tensor(tril(x, 0), DType::kI32, {2, 2, 2}, {0, 0, 2, 3, 4, 0, 6, 7});
  expect_tensor(triu(x, 1), DType::kI32, {2, 2, 2}, {0, 1, 0, 0, 0, 5, 0, 0});
  expect_error(tril(f32({2}, {1, 2}), 0), kBad, "rank 2");
}

// Known answers of the array framework's generator.
TEST(RandomBits, KnownAnswers) {
  expect_tensor(random_bits({2, 3}, 4, 42), DType::kU32, {2, 3},
                {3134548294, 3733159049, 3746501087, 894150801, 801545058, 2363201431});
  expect_tensor(random_bits({5}, 4, 42), DType::kU32, {5}, {3134548294, 3733159049, 843694964, 894150801, 801545058});
  expect_tensor(random_bits({5}, 4, 0), DType::kU32, {5}, {2467461003, 428148500, 1688610540, 3840466878, 2562233961});
  expect_tensor(random_bits({5}, 4, -1), DType::kU32, {5}, {1594713364, 586013425, 603717486, 113650303, 315046677});
}

TEST(RandomBits, NarrowWidthsAreTheSameBytes) {
  const Tensor words = random_bits({5}, 4, 42).value();
  for (int width : {1, 2}) {
    const Tensor narrow = random_bits({20 / width - 1}, width, 42).value();  // 19 or 18 bytes: 5 words still
    EXPECT_EQ(narrow.dtype, width == 1 ? DType::kU8 : DType::kU16);
    EXPECT_TRUE(std::equal(narrow.bytes().begin(), narrow.bytes().end(), words.bytes().begin()));
  }
  expect_error(random_bits({2}, 3, 1), kBad, "1, 2 or 4");
  expect_error(random_bits({0}, 4, 1), kBad, "positive");
}

}  // namespace
}  // namespace tessera::ops
