#include TESSERA_VOCABULARY
#include "kernels/cpu/linear_format.h"
#include "kernels/cpu/unpack/k_quants.h"

namespace tessera::kernels::cpu {

using TESSERA_ISA::Vocabulary;
template struct FormatTiles<Vocabulary, UnpackQ5K>;

}  // namespace tessera::kernels::cpu
