#include TESSERA_VOCABULARY
#include "kernels/cpu/linear_format.h"
#include "kernels/cpu/unpack/iq4_xs.h"

namespace tessera::kernels::cpu {

using TESSERA_ISA::Vocabulary;
template struct FormatTiles<Vocabulary, UnpackIQ4XS>;

}  // namespace tessera::kernels::cpu
