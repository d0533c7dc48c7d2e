#include "kernels/cuda/division.cuh"

#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "test_util.h"

namespace tessera::kernels::cuda {
namespace {

void check(int32_t n, int32_t by) {
  const Divisor divisor = divisor_of(by);
  ASSERT_EQ(quotient(n, divisor), n / by) << n << " / " << by;
  ASSERT_EQ(remainder(n, divisor), n % by) << n << " % " << by;
}

TEST(Division, IsExactAroundMultiples) {
  constexpr int32_t kLargest = std::numeric_limits<int32_t>::max();
  std::mt19937_64 rng = tessera::testing::fresh_rng();
  const auto below = [&](int64_t end) { return static_cast<int32_t>(rng() % static_cast<uint64_t>(end)); };
  for (int round = 0; round < 3000; ++round) {
    const int32_t by = round < 100   ? round + 1
                       : round < 131 ? kLargest >> (round - 100)
                                     : 1 + below(kLargest >> round % 31);
    const int64_t multiple = int64_t{below(int64_t{kLargest} / by + 1)} * by;
    for (const int64_t n : {int64_t{0}, multiple - 1, multiple, multiple + 1, int64_t{kLargest} - 1, int64_t{kLargest}})
      if (n >= 0 && n <= kLargest) check(static_cast<int32_t>(n), by);
  }
}

}  // namespace
}  // namespace tessera::kernels::cuda
