#include TESSERA_VOCABULARY
#include "kernels/cpu/linear_format.h"
#include "kernels/cpu/unpack/k_quants.h"

namespace tessera::kernels::cpu {

using TESSERA_ISA::Vocabulary;
template void linear_tile<Vocabulary, UnpackQ6K<Vocabulary>>(const LinearTile& tile);

}  // namespace tessera::kernels::cpu
