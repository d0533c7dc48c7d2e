// One format on one instruction set: which driver takes a tile. per_isa/linear_<format>.cpp instantiates it.
#pragma once

#include "kernels/cpu/linear_decode.h"
#include "kernels/cpu/linear_matrix.h"
#include "kernels/cpu/linear_panel.h"
#include "kernels/cpu/linear_tile.h"

namespace tessera::kernels::cpu {

template <class V, class F>
void linear_tile(const LinearTile& tile) {
  constexpr bool kLong = F::Block::kValues == 256;
  if (tile.n_tokens == 1)
    std::conditional_t<kLong, Decode256<V, F>, Decode32<V, F>>::run(tile);
  else if constexpr (!kLong)
    panel_tile_32<V, F>(tile);
  else if constexpr (V::kProducts != Products::kMatrix)
    panel_tile_256<V, F>(tile);
  else if (tile.n_tokens < kMatrixTokens && tile.n_rows <= kTileRows)
    panel_tile_256<V, F>(tile);
  else
    matrix_tile_256<V, F>(tile);
}

}  // namespace tessera::kernels::cpu
