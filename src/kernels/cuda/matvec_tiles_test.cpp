#include "kernels/cuda/matvec_tiles.cuh"

#include <gtest/gtest.h>

#include "kernels/cuda/matvec_int8.cuh"

namespace tessera::kernels::cuda {
namespace {

// What multiprocessors of compute capability 8.6, 8.0 and 9.0 let a block have.
constexpr int kShared[] = {99 * 1024, 163 * 1024, 227 * 1024};

template <typename F, int kTokens>
void expect_every_unit_has_one_reader(int n, int k) {
  LinearArgs args{.x = {.form = Form::kInt8, .m = kTokens, .k = k, .group = F::kGroup}, .format = {}, .n_jobs = 1};
  args.jobs[0].n = n;
  for (const bool has_gate : {false, true})
    for (const int shared : kShared)
      for (const int blocks : {1, 3, 128}) {
        SCOPED_TRACE(testing::Message() << n << " x " << k << ", " << shared << " bytes, " << blocks << " blocks");
        args.jobs[0].gate = has_gate ? 1 : 0;
        const TileWork work = tile_work<F, kTokens>(args, shared, blocks);
        ASSERT_GE(work.n_slots, 2);
        EXPECT_LE((work.bytes<TileShape<F, kTokens>>()), shared);
        EXPECT_LE(work.units_of_part, (TileShape<F, kTokens>::kPartUnits));
        EXPECT_GE(work.parts_of_piece.value * work.units_of_part, work.units_of_piece);
        EXPECT_GE(work.n_pieces * work.units_of_piece, work.n_units);
        EXPECT_LT((work.n_pieces - 1) * work.units_of_piece, work.n_units) << "the last piece has units";
        EXPECT_GE(work.n_splits.value * work.n_passes, work.n_pieces);
        EXPECT_LE(work.n_splits.value, kMostSplits);
        EXPECT_TRUE(work.n_passes > 1 || work.n_splits.value * work.ranges.n_blocks <= blocks);
        EXPECT_TRUE(work.n_splits.value == 1 || work.left_words() * 4 <= kMatvecPartsBytes);
        EXPECT_EQ(work.parts_of_piece.value * work.n_teams, work.n_readers);
        EXPECT_LE(work.n_readers, kMostReaders);
        EXPECT_LT(work.last_row, work.most_weights) << "the stage that comes first has rows";
        EXPECT_GE(work.last_row + work.stage_rows, work.most_weights);
        EXPECT_GE(work.n_sum_slots * work.stage_rows, work.n_passes > 1 ? work.most_weights : 0);
      }
}

TEST(TileWork, GivesEveryUnitToOneReader) {
  for (const int units : {1, 3, 8, 10, 21, 32, 84, 97, 200}) {
    expect_every_unit_has_one_reader<Q6K, 4>(5376, 256 * units);
    expect_every_unit_has_one_reader<Q4_0, 4>(35, 256 * units);
    expect_every_unit_has_one_reader<Q4K, 8>(5376, 256 * units);
    expect_every_unit_has_one_reader<Q5K, 8>(40, 256 * units);
    expect_every_unit_has_one_reader<Q6K, 16>(1001, 256 * units);
    expect_every_unit_has_one_reader<Q8_0, 16>(2048, 256 * units - 96);
    expect_every_unit_has_one_reader<Q4_0, 8>(7, 256 * units - 32);
  }
}

TEST(WholeUnits, AreRowsOf256AtMultiplesOf4) {
  LinearArgs args{.x = {.k = 512}, .n_jobs = 2};
  args.jobs[0].weight = 64, args.jobs[1].weight = 100, args.jobs[1].gate = 4;
  EXPECT_TRUE(has_whole_units(args));
  args.x.k = 512 + 32;
  EXPECT_FALSE(has_whole_units(args));
  args.x.k = 512;
  for (Address* const place : {&args.jobs[0].weight, &args.jobs[1].weight, &args.jobs[1].gate}) {
    *place += 2;
    EXPECT_FALSE(has_whole_units(args));
    *place -= 2;
  }
  args.jobs[2].weight = 2;  // of no job
  EXPECT_TRUE(has_whole_units(args));
}

}  // namespace
}  // namespace tessera::kernels::cuda
