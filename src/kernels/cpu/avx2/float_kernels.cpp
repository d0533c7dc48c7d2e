#include "kernels/cpu/avx2/f32x16.h"
#include "kernels/cpu/float_kernels_table.h"

namespace tessera::kernels::cpu::avx2 {

const FloatKernels kFloatKernels = make_float_kernels<F32x16>();

}  // namespace tessera::kernels::cpu::avx2
