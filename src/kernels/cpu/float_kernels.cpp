#include "kernels/cpu/float_kernels.h"

namespace tessera::kernels::cpu {

const FloatKernels& float_kernels(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::kAvx512) return avx512::kFloatKernels;
  if (isa == Isa::kAvx2) return avx2::kFloatKernels;
#endif
  (void)isa;
  return scalar::kFloatKernels;
}

}  // namespace tessera::kernels::cpu
