// Runs a kernel over a grid as a GPU would: threadgroup after threadgroup, each with all its threads alive at once,
// SIMD groups of 32 in lockstep wherever they exchange values.
//
// Found and reported, with the thread's position: accesses out of bounds or misaligned, reads of threadgroup memory
// that nobody wrote, races between barriers, lanes of a SIMD group or threads of a threadgroup that do not all come to
// the same collective call. Not emulated: the GPU's speed, its fast-math rounding, memory order between threadgroups.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/result.h"

namespace tessera::kernels::emulator {

struct Grid {
  uint32_t threads[3] = {1, 1, 1};      // in total, as in a MetalKernel instruction
  uint32_t threadgroup[3] = {1, 1, 1};  // clamped to `threads`; at the end of an axis one may be smaller
  uint32_t groups(int axis) const;
};
struct GroupPosition {
  uint32_t x = 0, y = 0, z = 0;
};
std::vector<GroupPosition> all_groups(const Grid& grid);

// Calls `kernel` once per thread of the given threadgroups (every one must lie in the grid). Errors: what was found.
Status dispatch(const Grid& grid, const std::vector<GroupPosition>& groups, const std::function<void()>& kernel);

}  // namespace tessera::kernels::emulator
