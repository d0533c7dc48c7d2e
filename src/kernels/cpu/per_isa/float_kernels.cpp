#include TESSERA_VOCABULARY
#include "kernels/cpu/float_kernels_table.h"

namespace tessera::kernels::cpu::TESSERA_ISA {

extern const FloatKernels kFloatKernels;
const FloatKernels kFloatKernels = make_float_kernels<F32x16>();

}  // namespace tessera::kernels::cpu::TESSERA_ISA
