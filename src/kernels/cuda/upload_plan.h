// How many parts of host memory, each with its place on the device, become transfers of about equal size: neighbours on
// the device travel together, long parts in pieces. No CUDA in here: transfers.cuh and a test without a GPU include it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/cuda/api.h"

namespace tessera::kernels::cuda {

struct UploadFragment {
  const char* from;
  uint64_t at, bytes;  // `at`: where in its piece
};
struct UploadPiece {
  Address to;
  uint64_t bytes;
  size_t first, n_fragments;
};
struct UploadPlan {
  std::vector<UploadFragment> fragments;
  std::vector<UploadPiece> pieces;  // in the order of the parts
};

// Pieces of piece_bytes at most. Parts less than kPlacement bytes apart may share one, which then has the gap in it.
inline UploadPlan plan_upload(std::span<const UploadPart> parts, uint64_t piece_bytes) {
  UploadPlan plan;
  for (const UploadPart& part : parts) {
    for (uint64_t done = 0; done < part.bytes;) {
      const Address to = part.to + done;
      const auto is_neighbour = [&](const UploadPiece& piece) {
        return to >= piece.to + piece.bytes && to - (piece.to + piece.bytes) < kPlacement &&
               to - piece.to < piece_bytes;
      };
      if (plan.pieces.empty() || !is_neighbour(plan.pieces.back()))
        plan.pieces.push_back({.to = to, .bytes = 0, .first = plan.fragments.size(), .n_fragments = 0});
      UploadPiece& piece = plan.pieces.back();
      const uint64_t at = to - piece.to, room = piece_bytes - at, left = part.bytes - done;
      const uint64_t n = left < room ? left : room;
      plan.fragments.push_back({static_cast<const char*>(part.from) + done, at, n});
      piece.bytes = at + n;
      ++piece.n_fragments;
      done += n;
    }
  }
  return plan;
}

}  // namespace tessera::kernels::cuda
