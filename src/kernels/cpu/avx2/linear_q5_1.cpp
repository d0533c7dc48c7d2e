#include "kernels/cpu/avx2/linear_tiles.h"
#include "kernels/cpu/avx2/vocabulary.h"
#include "kernels/cpu/linear_format.h"
#include "kernels/cpu/unpack/small_blocks.h"

namespace tessera::kernels::cpu::avx2 {

void linear_q5_1(const LinearTile& tile) { linear_tile_32<Vocabulary, UnpackQ5_1<Vocabulary>>(tile); }

}  // namespace tessera::kernels::cpu::avx2
