#include TESSERA_VOCABULARY
#include "kernels/cpu/linear_affine.h"

namespace tessera::kernels::cpu {

using TESSERA_ISA::Vocabulary;
template void linear_tile<Vocabulary, UnpackAffine<Vocabulary, 2>>(const LinearTile& tile);
template void linear_tile<Vocabulary, UnpackAffine<Vocabulary, 3>>(const LinearTile& tile);
template void linear_tile<Vocabulary, UnpackAffine<Vocabulary, 4>>(const LinearTile& tile);
template void linear_tile<Vocabulary, UnpackAffine<Vocabulary, 5>>(const LinearTile& tile);
template void linear_tile<Vocabulary, UnpackAffine<Vocabulary, 6>>(const LinearTile& tile);
template void linear_tile<Vocabulary, UnpackAffine<Vocabulary, 8>>(const LinearTile& tile);

}  // namespace tessera::kernels::cpu
