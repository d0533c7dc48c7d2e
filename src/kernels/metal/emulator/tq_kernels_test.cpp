// The Metal text of the compressed cache, emulated, against the scalar references.
#include "kernels/metal/emulator/tq_kernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "base/checked_math.h"
#include "ops/elements.h"
#include "ops/tq_cache.h"
#include "quant/tq4.h"
#include "test_util.h"

namespace tessera::kernels::emulator {
namespace {

using ops::Tensor;
using tessera::testing::fresh_rng;

constexpr TqOp kOps[] = {TqOp::kNorm, TqOp::kCompress, TqOp::kDequantize};
constexpr DType kFloats[] = {DType::kF32, DType::kF16, DType::kBF16};

void expect_good(const TqTrial& trial, std::mt19937_64& rng) {
  const auto samples = run_trial(trial, rng);
  ASSERT_TRUE(samples.has_value()) << samples.error().message;
  EXPECT_FALSE(samples->empty());
  EXPECT_LE(errors_of(*samples).of_bound, 1.0) << "op " << static_cast<int>(trial.op) << " " << name_of(trial.dtype)
                                               << " " << trial.vectors << " x " << trial.dim;
}

TEST(MetalTqKernels, EveryLengthAndNumberOfVectors) {
  auto rng = fresh_rng();
  for (const TqOp op : kOps)
    for (const int64_t dim : {64, 128, 192, 256, 512, 1024})
      for (const int64_t vectors : {1, 2, 7, 8, 33}) expect_good({.op = op, .vectors = vectors, .dim = dim}, rng);
}

TEST(MetalTqKernels, EveryDtype) {
  auto rng = fresh_rng();
  for (const TqOp op : kOps)
    for (const DType dtype : kFloats)
      for (const DType other : kFloats)
        expect_good({.op = op,
                     .dtype = dtype,
                     .norms = other,
                     .boundaries = other,
                     .centroids = other,
                     .vectors = 5,
                     .dim = 128},
                    rng);
}

// Heads and tokens are axes before the last, of which the kernels know the product alone.
TEST(MetalTqKernels, VectorsOfSeveralAxes) {
  auto rng = fresh_rng();
  std::normal_distribution<float> normal;
  Tensor x = *Tensor::allocate(DType::kBF16, {1, 3, 5, 64});
  for (int64_t i = 0; i < x.n_elements(); ++i) {
    const float value = normal(rng);
    ops::store(&value, 1, x, i);
  }
  const TqLaunch launch{.op = TqOp::kNorm,
                        .inputs = {x},
                        .out = *Tensor::zeroed(DType::kBF16, {1, 3, 5, 1}),
                        .grid = tq_grid(TqOp::kNorm, 15, 64)};
  ASSERT_TRUE(run(launch, all_groups(launch.grid)));
  const Tensor expected = *ops::tq_norm(x);
  for (int64_t i = 0; i < 15; ++i)
    EXPECT_NEAR(ops::element<float>(launch.out, i), ops::element<float>(expected, i), 0.05);
}

TEST(MetalTqKernels, AGridThatIsTooShortLeavesOutputsUnwritten) {
  TqLaunch launch{.op = TqOp::kDequantize,
                  .inputs = {*Tensor::zeroed(DType::kU8, {4, 32}), *Tensor::zeroed(DType::kBF16, {4, 1}),
                             *Tensor::zeroed(DType::kF32, {16})},
                  .out = *Tensor::allocate(DType::kF32, {4, 64}),
                  .grid = tq_grid(TqOp::kDequantize, 3, 64)};
  std::memset(launch.out.data, 0xff, launch.out.n_bytes());
  ASSERT_TRUE(run(launch, all_groups(launch.grid)));
  EXPECT_EQ(ops::element<float>(launch.out, 191), 0);
  EXPECT_TRUE(std::isnan(ops::element<float>(launch.out, 192)));
  launch.grid = tq_grid(TqOp::kDequantize, 5, 64);
  const Status outside = run(launch, all_groups(launch.grid));
  ASSERT_FALSE(outside);
  EXPECT_NE(outside.error().message.find("norms"), std::string::npos) << outside.error().message;
}

TEST(MetalTqKernels, OperandsThatDoNotFitAreRefused) {
  const auto error = [](const TqLaunch& launch) {
    const Status status = run(launch, all_groups(launch.grid));
    return status ? std::string() : status.error().message;
  };
  TqLaunch launch{.op = TqOp::kNorm,
                  .inputs = {*Tensor::zeroed(DType::kF32, {2, 96})},
                  .out = *Tensor::zeroed(DType::kF32, {2, 1}),
                  .grid = tq_grid(TqOp::kNorm, 2, 96)};
  EXPECT_NE(error(launch).find("multiples of 64"), std::string::npos);
  launch.inputs = {*Tensor::zeroed(DType::kF32, {2, 64})};
  EXPECT_EQ(error(launch), "");
  launch.out = *Tensor::zeroed(DType::kF32, {3, 1});
  EXPECT_NE(error(launch).find("out must have shape"), std::string::npos);
  launch.op = TqOp::kCompress;
  EXPECT_NE(error(launch).find("1 inputs of a kernel that takes 2"), std::string::npos);
}

}  // namespace
}  // namespace tessera::kernels::emulator
