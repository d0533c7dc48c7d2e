#include "kernels/cpu/linear_kernels.h"

namespace tessera::kernels::cpu {

const LinearKernels& linear_kernels(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return scalar::kLinearKernels;
#if defined(__x86_64__)
    case Isa::kAvx2:
      return scalar::kLinearKernels;
    case Isa::kAvx512:
      return scalar::kLinearKernels;
#else
    default:
      break;
#endif
  }
  return scalar::kLinearKernels;
}

}  // namespace tessera::kernels::cpu
