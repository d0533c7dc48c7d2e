#include "kernels/cpu/avx2/linear_tiles.h"
#include "kernels/cpu/avx2/vocabulary.h"
#include "kernels/cpu/linear_format.h"
#include "kernels/cpu/unpack/iq4_xs.h"

namespace tessera::kernels::cpu::avx2 {

void linear_iq4_xs(const LinearTile& tile) { linear_tile_256<Vocabulary, UnpackIQ4XS<Vocabulary>>(tile); }

}  // namespace tessera::kernels::cpu::avx2
