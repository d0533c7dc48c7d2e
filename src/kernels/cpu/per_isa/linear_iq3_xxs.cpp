#include TESSERA_VOCABULARY
#include "kernels/cpu/linear_format.h"
#include "kernels/cpu/unpack/iq3.h"

namespace tessera::kernels::cpu {

using TESSERA_ISA::Vocabulary;
template struct FormatTiles<Vocabulary, UnpackIQ3XXS>;

}  // namespace tessera::kernels::cpu
