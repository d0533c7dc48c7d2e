#include "kernels/cpu/linear_kernels.h"

namespace tessera::kernels::cpu {

const LinearKernels& linear_kernels(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::kAvx512) return avx512::kLinearKernels;
  if (isa == Isa::kAvx2) return avx2::kLinearKernels;
#endif
  (void)isa;
  return scalar::kLinearKernels;
}

}  // namespace tessera::kernels::cpu
