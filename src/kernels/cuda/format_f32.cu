#include "kernels/cuda/embedding.cuh"
#include "kernels/cuda/format_kernels.h"
#include "kernels/cuda/matmul.cuh"
#include "kernels/cuda/matvec.cuh"

namespace tessera::kernels::cuda {

const FormatKernels kKernelsF32 = {matvec<F32W>, matmul<F32W>, embedding<F32W>};

}  // namespace tessera::kernels::cuda
