// One format on one instruction set: which driver takes a tile. per_isa/linear_<format>.cpp instantiates it.
#pragma once

#include "kernels/cpu/linear_decode.h"
#include "kernels/cpu/linear_matrix_256.h"
#include "kernels/cpu/linear_matrix_32.h"
#include "kernels/cpu/linear_panel.h"
#include "kernels/cpu/linear_tile.h"

namespace tessera::kernels::cpu {

// More than one token.
template <class V, class F>
void tokens_tile(const LinearTile& tile) {
  constexpr bool kLong = F::Block::kValues == 256;
  if constexpr (V::kProducts == Products::kMatrix) {
    if (tile.n_tokens >= kLeastMatrixTokens || tile.n_rows > kTileRows)
      return MatrixTile<V, std::conditional_t<kLong, MatrixSums256<V, F>, MatrixSums32<V, F>>>(tile).run();
  }
  if constexpr (kLong)
    panel_tile_256<V, F>(tile);
  else
    panel_tile_32<V, F>(tile);
}

template <class V, class F>
void linear_tile(const LinearTile& tile) {
  using Decode = std::conditional_t<F::Block::kValues == 256, Decode256<V, F>, Decode32<V, F>>;
  if (tile.n_tokens == 1)
    Decode::run(tile);
  else
    tokens_tile<V, F>(tile);
}

}  // namespace tessera::kernels::cpu
