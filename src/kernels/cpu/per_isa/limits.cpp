#include TESSERA_VOCABULARY
#include "kernels/cpu/limits_impl.h"

namespace tessera::kernels::cpu::TESSERA_ISA {

extern const LimitKernels kLimitKernels;
constinit const LimitKernels kLimitKernels = LimitImpl<Vocabulary>::kTable;

}  // namespace tessera::kernels::cpu::TESSERA_ISA
