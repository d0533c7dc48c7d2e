#include TESSERA_VOCABULARY
#include "kernels/cpu/linear_format.h"
#include "kernels/cpu/unpack/iq2.h"

namespace tessera::kernels::cpu {

using TESSERA_ISA::Vocabulary;
template struct FormatTiles<Vocabulary, UnpackIQ2S>;

}  // namespace tessera::kernels::cpu
