// One format on one instruction set: which driver takes a tile. Each avx2/linear_<format>.cpp and avx512/.. names one.
#pragma once

#include "kernels/cpu/linear_decode.h"
#include "kernels/cpu/linear_panel.h"

namespace tessera::kernels::cpu {

template <class V, class F>
void linear_tile_256(const LinearTile& tile) {
  if (tile.n_tokens == 1)
    Decode256<V, F>::run(tile);
  else
    panel_tile_256<V, F>(tile);
}

template <class V, class F>
void linear_tile_32(const LinearTile& tile) {
  if (tile.n_tokens == 1)
    Decode32<V, F>::run(tile);
  else
    panel_tile_32<V, F>(tile);
}

}  // namespace tessera::kernels::cpu
