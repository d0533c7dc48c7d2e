// Recycling of temporary slots: a program is emitted with a fresh temporary for every result, and gets as few slots as
// are alive at once. (ExecuTorch's exporter measured 13.2 -> 2.6 GiB at run time from this.)
#pragma once

#include <cstdint>
#include <vector>

#include "program/program.h"

namespace tessera::compile {

// The slot (0, 1, ...) of each of `n` temporaries. Temporary i is named by tensor id `first + i` in the chains, which
// start from chain `main` and nest through If. Temporaries share a slot only when one was read for the last time by an
// instruction before the one that writes the other, so no instruction reads and writes the same slot.
std::vector<uint32_t> assign_temp_slots(const std::vector<program::Chain>& chains, uint32_t main, uint32_t first,
                                        uint32_t n);

}  // namespace tessera::compile
