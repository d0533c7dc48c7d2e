#include "kernels/cpu/avx512/vocabulary.h"
#include "kernels/cpu/limits_impl.h"

namespace tessera::kernels::cpu::avx512 {

constinit const LimitKernels kLimitKernels = LimitImpl<Vocabulary>::kTable;

}  // namespace tessera::kernels::cpu::avx512
