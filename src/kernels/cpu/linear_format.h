// One format on one instruction set: its kernels, which per_isa/linear_<format>.cpp instantiates.
#pragma once

#include "kernels/cpu/linear_exact_few.h"
#include "kernels/cpu/linear_few.h"
#include "kernels/cpu/linear_matrix_256.h"
#include "kernels/cpu/linear_matrix_32.h"
#include "kernels/cpu/linear_panel.h"
#include "kernels/cpu/linear_tile.h"

namespace tessera::kernels::cpu {

template <class V, template <class> class F>
void FormatTiles<V, F>::few_neighbours([[maybe_unused]] const LinearTile& tile) {
  constexpr auto order = RowOrder::kNeighbours;
  if constexpr (kNeighbours) FewTokens<V, F<V>, order, FewInt8<V, F<V>, order>, V::kFewTokens>::run(tile);
}

template <class V, template <class> class F>
void FormatTiles<V, F>::few_distant([[maybe_unused]] const LinearTile& tile) {
  constexpr auto order = RowOrder::kDistant;
  if constexpr (kDistant) FewTokens<V, F<V>, order, FewInt8<V, F<V>, order>, kMostDistantTokens>::run(tile);
}

template <class V, template <class> class F>
void FormatTiles<V, F>::few_exact([[maybe_unused]] const LinearTile& tile) {
  constexpr auto order = kNeighbours ? RowOrder::kNeighbours : RowOrder::kDistant;
  using Driver = FewExact<V, F<V>, order>;
  if constexpr (kExact) FewTokens<V, F<V>, order, Driver, Driver::kTokens>::run(tile);
}

template <class V, template <class> class F>
void FormatTiles<V, F>::panels(const LinearTile& tile) {
  if constexpr (F<V>::Block::kValues == 256)
    panel_tile_256<V, F<V>>(tile);
  else
    panel_tile_32<V, F<V>>(tile);
}

template <class V, template <class> class F>
void FormatTiles<V, F>::matrix([[maybe_unused]] const LinearTile& tile) {
  if constexpr (V::kProducts == Products::kMatrix) {
    if constexpr (F<V>::Block::kValues == 256)
      MatrixTile<V, MatrixSums256<V, F<V>>>(tile).run();
    else
      MatrixTile<V, MatrixSums32<V, F<V>>>(tile).run();
  }
}

}  // namespace tessera::kernels::cpu
