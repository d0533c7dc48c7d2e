#include "quant/group_merge.h"

#include <gtest/gtest.h>

#include <numeric>

namespace tessera::quant {
namespace {

GroupParams make_params(int64_t n_rows, int64_t n_groups, int group_size, std::vector<float> scales,
                        std::vector<float> mins = {}) {
  if (mins.empty()) mins.resize(scales.size());
  EXPECT_EQ(static_cast<int64_t>(scales.size()), n_rows * n_groups);
  return {n_rows, n_groups, group_size, std::move(scales), std::move(mins)};
}

TEST(GroupMerge, JoinsUpToTheCap) {
  const GroupParams ones = make_params(3, 8, 32, std::vector<float>(24, 1.0f));
  EXPECT_EQ(merge_groups(ones, 128).group_size, 128);
  EXPECT_EQ(merge_groups(ones, 128).n_groups, 2);
  EXPECT_EQ(merge_groups(ones, 128).scales, std::vector<float>(6, 1.0f));
  EXPECT_EQ(merge_groups(ones, 64).group_size, 64);
  EXPECT_EQ(merge_groups(ones, 100).group_size, 64);
  EXPECT_EQ(merge_groups(ones, 1 << 30).group_size, 256);
  EXPECT_EQ(merge_groups(ones, 63).group_size, 32);
  EXPECT_EQ(merge_groups(ones, 0).group_size, 32);
  EXPECT_EQ(merge_groups(make_params(2, 16, 16, std::vector<float>(32, 1.0f)), 128).group_size, 128);
}

TEST(GroupMerge, KeepsTheFirstOfEqualRuns) {
  const GroupParams merged = merge_groups(make_params(1, 8, 32, {1, 1, 2, 2, 3, 3, 4, 4}), 128);
  EXPECT_EQ(merged.group_size, 64);
  EXPECT_EQ(merged.n_groups, 4);
  EXPECT_EQ(merged.scales, (std::vector<float>{1, 2, 3, 4}));
  EXPECT_EQ(merged.mins, std::vector<float>(4, 0.0f));
}

TEST(GroupMerge, LeavesWhatDiffers) {
  std::vector<float> distinct(8);
  std::iota(distinct.begin(), distinct.end(), 1.0f);
  const GroupParams unchanged = merge_groups(make_params(1, 8, 32, distinct), 128);
  EXPECT_EQ(unchanged.group_size, 32);
  EXPECT_EQ(unchanged.scales, distinct);
  // Equal scales, but every pair holds two different mins.
  EXPECT_EQ(merge_groups(make_params(1, 8, 32, std::vector<float>(8, 1.0f), {0, 1, 0, 1, 0, 1, 0, 1}), 128).group_size,
            32);
}

TEST(GroupMerge, OneDeviatingRowKeepsTheTensor) {
  std::vector<float> scales(24, 1.0f);
  scales[22] = 2;  // last row, group 6
  EXPECT_EQ(merge_groups(make_params(3, 8, 32, scales), 128).group_size, 32);
  scales[23] = 2;  // its pair agrees again
  EXPECT_EQ(merge_groups(make_params(3, 8, 32, scales), 128).group_size, 64);
}

TEST(GroupMerge, NeedsAWholeNumberOfRuns) {
  EXPECT_EQ(merge_groups(make_params(1, 3, 32, {1, 1, 1}), 128).group_size, 32);
  EXPECT_EQ(merge_groups(make_params(1, 6, 32, std::vector<float>(6, 1.0f)), 128).group_size, 64);
  EXPECT_EQ(merge_groups(make_params(0, 8, 32, {}), 128).n_rows, 0);
}

}  // namespace
}  // namespace tessera::quant
