#include TESSERA_VOCABULARY
#include "kernels/cpu/linear_affine.h"

namespace tessera::kernels::cpu {

using TESSERA_ISA::Vocabulary;
template struct FormatTiles<Vocabulary, Affine<2>::Unpack>;
template struct FormatTiles<Vocabulary, Affine<3>::Unpack>;
template struct FormatTiles<Vocabulary, Affine<4>::Unpack>;
template struct FormatTiles<Vocabulary, Affine<5>::Unpack>;
template struct FormatTiles<Vocabulary, Affine<6>::Unpack>;
template struct FormatTiles<Vocabulary, Affine<8>::Unpack>;

}  // namespace tessera::kernels::cpu
