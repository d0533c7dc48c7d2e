#include "kernels/cpu/float_kernels_table.h"
#include "kernels/cpu/scalar/f32x16.h"

namespace tessera::kernels::cpu::scalar {

extern const FloatKernels kFloatKernels;
const FloatKernels kFloatKernels = make_float_kernels<F32x16>();

}  // namespace tessera::kernels::cpu::scalar
