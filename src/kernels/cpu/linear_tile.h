// The kernels of a tile of int8 arithmetic: one format F (unpack/) on one instruction set V (its vocabulary.h).
#pragma once

#include "kernels/cpu/linear_kernels.h"

namespace tessera::kernels::cpu {

// Defined in linear_format.h and instantiated in per_isa/linear_<format>.cpp, one source a format so that they compile
// side by side. What V has no kernel for is empty, and Int8Kernel does not name it.
template <class V, template <class> class F>
struct FormatTiles {
  static void few_neighbours(const LinearTile& tile);
  static void few_distant(const LinearTile& tile);
  static void panels(const LinearTile& tile);
  static void matrix(const LinearTile& tile);
};

// Codes of affine groups as a format.
template <class V, int bits>
struct UnpackAffine;
template <int bits>
struct Affine {
  template <class V>
  using Unpack = UnpackAffine<V, bits>;
};

}  // namespace tessera::kernels::cpu
