#include "kernels/cpu/avx512/linear_tiles.h"
#include "kernels/cpu/avx512/vocabulary.h"
#include "kernels/cpu/linear_format.h"
#include "kernels/cpu/unpack/small_blocks.h"

namespace tessera::kernels::cpu::avx512 {

void linear_q8_0(const LinearTile& tile) { linear_tile_32<Vocabulary, UnpackQ8_0<Vocabulary>>(tile); }

}  // namespace tessera::kernels::cpu::avx512
