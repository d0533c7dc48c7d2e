// What lies between the linears, against plain loops in float64: norms and residuals, soft cap, gelu, the position.
// Attention: attention_test.cpp.
#include <algorithm>

#include "base/float16.h"
#include "kernels/cuda/cuda_testing.h"

namespace tessera::kernels::cuda::testing {
namespace {

class StepsOnDevice : public OnDevice {};

TEST_P(StepsOnDevice, NormResidualAndNextNorm) {
  constexpr double kEps = 1e-6;
  struct Case {
    int32_t m, k;
    bool residual_is_there;
  };
  for (const auto& [m, k, residual_is_there] :
       {Case{3, 1, false}, Case{3, 31, true}, Case{3, 256, true}, Case{2, 1030, false}, Case{1, 31, false},
        Case{1, 5376, true}, Case{2, 6152, true}, Case{1, 12296, false}}) {
    SCOPED_TRACE(::testing::Message() << m << " x " << k);
    const auto n = static_cast<size_t>(m * k);
    const auto x = random_floats(n, rng_), residual = random_floats(n, rng_),
               weight = random_floats(static_cast<size_t>(k), rng_), next = random_floats(static_cast<size_t>(k), rng_);
    NormArgs args{.x = put(x),
                  .branch_weight = put(weight),
                  .residual = 0,
                  .sum = poisoned(n * 4),
                  .next_weight = 0,
                  .next = 0,
                  .made = {},
                  .element = Element::kF32,
                  .m = m,
                  .k = k,
                  .branch_eps = static_cast<float>(kEps),
                  .next_eps = static_cast<float>(kEps),
                  .scale = 1,
                  .residual_is_there = residual_is_there};
    run(&Api::norm, args);
    Doubles expected = norm_of(widen(x), weight, static_cast<size_t>(k), kEps);
    EXPECT_LE(relative_error(floats(args.sum, n), expected), 1e-5);

    args.residual = put(residual), args.scale = 0.75f, args.sum = poisoned(n * 4);
    args.next_weight = put(next), args.next = poisoned(n * 4);
    run(&Api::norm, args);
    for (size_t i = 0; i < n; ++i) expected[i] = (expected[i] + static_cast<double>(residual[i])) * 0.75;
    EXPECT_LE(relative_error(floats(args.sum, n), expected), 1e-5);
    EXPECT_LE(relative_error(floats(args.next, n), norm_of(expected, next, static_cast<size_t>(k), kEps)), 1e-5);
  }
}

TEST_P(StepsOnDevice, NormInTheFormOfALinear) {
  struct Case {
    Form form;
    int32_t m, k, group;
    Element element;
  };
  for (const Case& c : {Case{Form::kInt8, 1, 1536, 256, Element::kBF16}, Case{Form::kInt8, 11, 768, 256, Element::kF32},
                        Case{Form::kInt8, 2, 96, 32, Element::kF16}, Case{Form::kF16Tiles, 17, 288, 0, Element::kBF16},
                        Case{Form::kF16Tiles, 70, 64, 0, Element::kF32}}) {
    const auto n = static_cast<size_t>(c.m * c.k);
    const Address x = put_as(random_floats(n, rng_), c.element), sum = poisoned(n * 4);
    NormArgs args{.x = x, .branch_weight = put(random_floats(static_cast<size_t>(c.k), rng_)), .sum = sum};
    args.made = empty_form(c.form, c.m, c.k, c.group);
    args.element = c.element, args.m = c.m, args.k = c.k, args.scale = 1, args.branch_eps = 1e-6f;
    run(&Api::norm, args);
    expect_form_of(sum, c.element, args.made);
  }
}

TEST_P(StepsOnDevice, SoftCapAndGelu) {
  const size_t n = 1000;
  const auto x = random_floats(n, rng_, 40), y = random_floats(n, rng_);
  const Address capped = poisoned(n * 4), product = poisoned(n * 4);
  run(&Api::soft_cap, SoftCapArgs{put(x), capped, Element::kF32, static_cast<int64_t>(n), 30});
  run(&Api::geglu, GegluArgs{put(x), put(y), product, Element::kF32, Element::kF32, static_cast<int64_t>(n)});
  Doubles cap(n), gelu(n);
  for (size_t i = 0; i < n; ++i) {
    const double g = x[i];
    cap[i] = 30 * std::tanh(g / 30);
    gelu[i] = 0.5 * g * (1 + std::tanh(std::sqrt(2 / M_PI) * (g + 0.044715 * g * g * g))) * static_cast<double>(y[i]);
  }
  EXPECT_LE(relative_error(floats(capped, n), cap), 1e-5);
  EXPECT_LE(relative_error(floats(product, n), gelu), 1e-5);
}

// ---- the end of a step ----------------------------------------------------------------------------------------------

TEST_P(StepsOnDevice, RecordedWorkRunsAtEachReplay) {
  const Address position = put(std::vector<int32_t>{5});
  expect_ok(gpu_->begin_capture());
  run(&Api::advance, AdvanceArgs{position, 3});
  auto graph = gpu_->end_capture();
  ASSERT_TRUE(graph) << graph.error().message;
  EXPECT_EQ(get<int32_t>(position, 1)[0], 5);
  for (int i = 0; i < 4; ++i) expect_ok(gpu_->replay(*graph));
  EXPECT_EQ(get<int32_t>(position, 1)[0], 17);
  gpu_->release(*graph);
}

TEST_P(StepsOnDevice, ReadingTouchesEveryByte) {
  const size_t n = 300000;
  std::vector<uint32_t> data(n);
  for (uint32_t& x : data) x = static_cast<uint32_t>(rng_());
  uint32_t expected = 0, got = 0;
  for (uint32_t x : data) expected ^= x;
  const Address sums = poisoned(kReadChecksums * 4);
  run(&Api::read, ReadArgs{put(data), sums, n * 4});
  for (uint32_t x : get<uint32_t>(sums, kReadChecksums)) got ^= x;
  EXPECT_EQ(got, expected);
}

TESSERA_ON_DEVICES(StepsOnDevice);

}  // namespace
}  // namespace tessera::kernels::cuda::testing
