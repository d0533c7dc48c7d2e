// The kernels of a tile from packed blocks: one format F (unpack/) on one instruction set V (its vocabulary.h).
#pragma once

#include <type_traits>

#include "kernels/cpu/linear_kernels.h"

namespace tessera::kernels::cpu {

// Codes of affine groups as a format.
template <class V, int bits>
struct UnpackAffine;
template <int bits>
struct Affine {
  template <class V>
  using Unpack = UnpackAffine<V, bits>;
};
template <class F>
inline constexpr bool kIsAffine = false;
template <class V, int bits>
inline constexpr bool kIsAffine<UnpackAffine<V, bits>> = true;

// Defined in linear_format.h and instantiated in per_isa/linear_<format>.cpp, one source a format so that they compile
// side by side. What V has no kernel for is empty, and Int8Kernel does not name it.
template <class V, template <class> class F>
struct FormatTiles {
  static constexpr bool kNeighbours = std::is_same_v<typename V::Neighbours, V>;
  // The numbers of affine groups lie apart: with them distant rows are three times as many streams, and slower.
  static constexpr bool kDistant =
      std::is_same_v<typename V::Distant, V> && (std::is_void_v<typename V::Neighbours> || !kIsAffine<F<V>>);
  // Those of another vocabulary that V names are as good here. Affine groups are dequantized in another way.
  static constexpr bool kExact = !kIsAffine<F<V>> && (kNeighbours || std::is_void_v<typename V::Neighbours>);
  static void few_neighbours(const LinearTile& tile);
  static void few_distant(const LinearTile& tile);
  static void few_exact(const LinearTile& tile);
  static void panels(const LinearTile& tile);
  static void matrix(const LinearTile& tile);
};

}  // namespace tessera::kernels::cpu
