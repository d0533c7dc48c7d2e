#include "kernels/cuda/embedding.cuh"
#include "kernels/cuda/format_kernels.h"
#include "kernels/cuda/matmul.cuh"
#include "kernels/cuda/matvec.cuh"

namespace tessera::kernels::cuda {

const FormatKernels kKernelsQ4_0 = {matvec<Q4_0>, matmul<Q4_0>, embedding<Q4_0>};

}  // namespace tessera::kernels::cuda
