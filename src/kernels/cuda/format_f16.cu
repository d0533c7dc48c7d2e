#include "kernels/cuda/embedding.cuh"
#include "kernels/cuda/format_kernels.h"
#include "kernels/cuda/matmul.cuh"
#include "kernels/cuda/matvec.cuh"

namespace tessera::kernels::cuda {

const FormatKernels kKernelsF16 = {matvec<F16W>, matmul<F16W>, embedding<F16W>};

}  // namespace tessera::kernels::cuda
