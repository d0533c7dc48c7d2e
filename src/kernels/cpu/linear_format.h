// One format on one instruction set: which driver takes a tile. per_isa/linear_<format>.cpp instantiates it.
#pragma once

#include "kernels/cpu/linear_few.h"
#include "kernels/cpu/linear_matrix_256.h"
#include "kernels/cpu/linear_matrix_32.h"
#include "kernels/cpu/linear_panel.h"
#include "kernels/cpu/linear_tile.h"

namespace tessera::kernels::cpu {

template <class V, class F>
void linear_tile(const LinearTile& tile) {
  constexpr bool kLong = F::Block::kValues == 256;
  if constexpr (V::kProducts == Products::kMatrix) {
    if (tile.n_tokens >= kLeastMatrixTokens || tile.n_rows > kTileRows)
      return MatrixTile<V, std::conditional_t<kLong, MatrixSums256<V, F>, MatrixSums32<V, F>>>(tile).run();
  }
  if (tile.n_tokens < V::kLeastPanelTokens)
    FewTokens<V, F>::run(tile);
  else if constexpr (kLong)
    panel_tile_256<V, F>(tile);
  else
    panel_tile_32<V, F>(tile);
}

}  // namespace tessera::kernels::cpu
