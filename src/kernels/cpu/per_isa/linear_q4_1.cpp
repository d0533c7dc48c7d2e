#include TESSERA_VOCABULARY
#include "kernels/cpu/linear_format.h"
#include "kernels/cpu/unpack/small_blocks.h"

namespace tessera::kernels::cpu {

using TESSERA_ISA::Vocabulary;
template void linear_tile<Vocabulary, UnpackQ4_1<Vocabulary>>(const LinearTile& tile);

}  // namespace tessera::kernels::cpu
