// Which kernels there are for what, on every instruction set of this machine.
#include "kernels/cpu/isa.h"

#include <algorithm>
#include <set>

#include "base/cpu_features.h"
#include "kernels/cpu/linear_kernels.h"
#include "test_util.h"

namespace tessera::kernels::cpu {
namespace {

TEST(Isa, NamesAndOrder) {
  const auto isas = available_isas();
  EXPECT_EQ(isas.front(), Isa::kScalar);
  std::set<std::string_view> names;
  for (const Isa isa : isas) EXPECT_TRUE(is_built(isa) && names.insert(name_of(isa)).second) << name_of(isa);
  const auto at = [&](Isa isa) { return std::find(isas.begin(), isas.end(), isa); };
  if (at(Isa::kAvx512) == isas.end()) GTEST_SKIP() << "no AVX-512 here";
  EXPECT_EQ(at(Isa::kAvx512) < at(Isa::kAvx512Streams), cpu_features().intel);
}

TEST(Isa, FewThreadsReadStreams) {
  for (const Isa isa : available_isas())
    for (const int n_threads : {1, 4, 5, 64})
      EXPECT_EQ(int8_choice(isa, n_threads).distant_rows,
                (isa == Isa::kAvx512Streams || isa == Isa::kAmx) && n_threads <= 4)
          << name_of(isa) << " " << n_threads;
}

TEST(Isa, EveryTileHasAKernel) {
  for (const Isa isa : available_isas()) {
    const LinearKernels& kernels = linear_kernels(isa);
    std::vector<Int8Kernel> all;
    for (const PackedFormat& of : kernels.packed) all.push_back(of.int8);
    for (const AffineCodes& of : kernels.affine) all.push_back(of.int8);
    for (const Int8Kernel& kernel : all)
      for (int m = 1; m <= 2 * kLeastMatrixTokens; ++m)
        for (const int n_threads : {1, 2, 64}) {
          const Int8Choice choice = int8_choice(isa, n_threads);
          const TileRows rows = choice.rows(kernel, m);
          EXPECT_TRUE(rows.unit <= rows.most && rows.most <= kMostTileRows) << m;
          for (int n_tokens = 1; n_tokens <= m; ++n_tokens) {  // those of a last tile
            const TileFn run = choice.kernel(kernel, rows.most, n_tokens);
            EXPECT_NE(run, nullptr) << name_of(isa) << " " << m << " " << n_tokens << " " << n_threads;
            EXPECT_TRUE(run != kernel.panels || rows.most <= kTileRows) << name_of(isa) << " " << m << " " << n_tokens;
          }
        }
  }
}

}  // namespace
}  // namespace tessera::kernels::cpu
