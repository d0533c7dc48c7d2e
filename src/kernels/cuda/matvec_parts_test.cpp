#include "kernels/cuda/matvec_parts.cuh"

#include <gtest/gtest.h>

#include "kernels/cuda/formats.cuh"

namespace tessera::kernels::cuda {
namespace {

// What multiprocessors of compute capability 8.6, 8.0 and 9.0 let a block have.
constexpr int kShared[] = {99 * 1024, 163 * 1024, 227 * 1024};

template <typename F>
void expect_every_unit_has_one_warp(int k) {
  LinearArgs args{.x = {.form = Form::kInt8, .m = 1, .k = k, .group = F::kGroup}, .format = {}, .n_jobs = 1};
  args.jobs[0].n = 100;
  for (const int shared : kShared) {
    SCOPED_TRACE(testing::Message() << "k " << k << ", " << shared << " bytes");
    const PartWork work = PartWork::of<F>(args, shared);
    EXPECT_LE(work.ring_bytes() + work.sums_bytes(1), shared);
    EXPECT_LE(work.units_of_part, kPartUnits);
    EXPECT_GE(work.n_parts * work.units_of_part, work.n_units);
    EXPECT_LT((work.n_parts - 1) * work.units_of_part, work.n_units) << "the last part has units";
    EXPECT_LE(work.n_parts, work.warps_of_row.value * work.parts_of_warp);
    EXPECT_EQ(work.warps_of_row.value * work.n_teams.value, work.n_warps);
    EXPECT_LE(work.n_warps, kMostWarps);
  }
}

TEST(PartWork, GivesEveryUnitToOneWarp) {
  for (const int units : {1, 3, 8, 9, 10, 21, 32, 40, 84, 97, 200}) {
    expect_every_unit_has_one_warp<Q4K>(256 * units);
    expect_every_unit_has_one_warp<Q5K>(256 * units);
    expect_every_unit_has_one_warp<Q6K>(256 * units);
    expect_every_unit_has_one_warp<Q8_0>(256 * units - 96);
    expect_every_unit_has_one_warp<Q4_0>(256 * units - 32);
  }
}

TEST(PartWork, DealsOutAllRows) {
  LinearArgs args{.x = {.form = Form::kInt8, .m = 1, .k = 512, .group = 256}, .format = {}, .n_jobs = 3};
  args.jobs[0].n = 37, args.jobs[1].n = 5, args.jobs[2].n = 6;
  PartWork work = PartWork::of<Q4K>(args, kShared[2]);
  EXPECT_EQ(work.rows.n(), 48);
  for (const int blocks : {1, 2, 7, 48, 1000}) {
    work.deal_out(blocks);
    EXPECT_LE(work.ranges.n_blocks, 48) << "no block without rows";
    EXPECT_EQ(work.ranges.n_blocks * work.ranges.least + work.ranges.n_larger, 48);
    EXPECT_LE(work.ranges.n_larger, work.ranges.n_blocks);
  }
}

}  // namespace
}  // namespace tessera::kernels::cuda
