// One tile of a linear, one format F (unpack/) on one instruction set V (its vocabulary.h).
#pragma once

#include "kernels/cpu/linear_kernels.h"

namespace tessera::kernels::cpu {

// Defined in linear_format.h and instantiated in per_isa/linear_<format>.cpp, one source a format so that they compile
// side by side.
template <class V, class F>
void linear_tile(const LinearTile& tile);

}  // namespace tessera::kernels::cpu
