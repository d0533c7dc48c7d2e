#include TESSERA_VOCABULARY
#include "kernels/cpu/linear_format.h"
#include "kernels/cpu/unpack/iq1.h"

namespace tessera::kernels::cpu {

using TESSERA_ISA::Vocabulary;
template struct FormatTiles<Vocabulary, UnpackIQ1S>;

}  // namespace tessera::kernels::cpu
