#include "kernels/cpu/avx2/linear_tiles.h"
#include "kernels/cpu/avx2/vocabulary.h"
#include "kernels/cpu/linear_format.h"
#include "kernels/cpu/unpack/k_quants.h"

namespace tessera::kernels::cpu::avx2 {

void linear_q6_k(const LinearTile& tile) { linear_tile_256<Vocabulary, UnpackQ6K<Vocabulary>>(tile); }

}  // namespace tessera::kernels::cpu::avx2
