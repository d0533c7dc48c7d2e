#include "kernels/cuda/upload_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "test_util.h"

namespace tessera::kernels::cuda {
namespace {

// Parts of random sizes and gaps, carried out on memory that must then hold them.
TEST(UploadPlan, EveryByteOnceInPiecesOfTheSizeAskedFor) {
  constexpr uint64_t kPiece = 1000;
  auto rng = tessera::testing::fresh_rng();
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<std::vector<char>> sources;
    std::vector<UploadPart> parts;
    Address next = 4096;
    for (uint64_t i = 0; i < 1 + rng() % 12; ++i) {
      sources.emplace_back(rng() % (i % 3 == 0 ? 5000 : 300));
      for (char& byte : sources.back()) byte = static_cast<char>(rng());
      parts.push_back({next, sources.back().data(), sources.back().size()});
      next += sources.back().size() + (rng() % 2 == 0 ? rng() % kPlacement : kPlacement + rng() % 1000);
    }
    std::vector<char> memory(next);
    std::vector<int> n_writes(next);
    Address before = 0;
    for (const UploadPlan plan = plan_upload(parts, kPiece); const UploadPiece& piece : plan.pieces) {
      EXPECT_LE(piece.bytes, kPiece);
      EXPECT_GT(piece.bytes, 0u);
      EXPECT_GE(piece.to, before);
      before = piece.to + piece.bytes;
      for (size_t i = piece.first; i < piece.first + piece.n_fragments; ++i) {
        const UploadFragment& fragment = plan.fragments[i];
        ASSERT_LE(fragment.at + fragment.bytes, piece.bytes);
        std::memcpy(&memory[piece.to + fragment.at], fragment.from, fragment.bytes);
        for (uint64_t b = 0; b < fragment.bytes; ++b) ++n_writes[piece.to + fragment.at + b];
      }
    }
    int64_t n_bytes = 0;
    for (const UploadPart& part : parts) {
      n_bytes += static_cast<int64_t>(part.bytes);
      EXPECT_TRUE(part.bytes == 0 || std::memcmp(&memory[part.to], part.from, part.bytes) == 0);
    }
    EXPECT_EQ(std::count(n_writes.begin(), n_writes.end(), 1), n_bytes);
    EXPECT_EQ(std::count(n_writes.begin(), n_writes.end(), 0), static_cast<int64_t>(next) - n_bytes);
  }
}

TEST(UploadPlan, SmallNeighboursTravelTogether) {
  const std::vector<char> bytes(100);
  std::vector<UploadPart> parts;
  for (Address i = 0; i < 50; ++i) parts.push_back({4096 + i * kPlacement, bytes.data(), bytes.size()});
  EXPECT_EQ(plan_upload(parts, 1 << 20).pieces.size(), 1u);
  parts[25].to += 60 * kPlacement;  // far from both its neighbours
  EXPECT_EQ(plan_upload(parts, 1 << 20).pieces.size(), 3u);
}

}  // namespace
}  // namespace tessera::kernels::cuda
