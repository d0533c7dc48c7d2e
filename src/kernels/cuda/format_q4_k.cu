#include "kernels/cuda/embedding.cuh"
#include "kernels/cuda/format_kernels.h"
#include "kernels/cuda/matmul.cuh"
#include "kernels/cuda/matvec.cuh"

namespace tessera::kernels::cuda {

const FormatKernels kKernelsQ4K = {matvec<Q4K>, matmul<Q4K>, embedding<Q4K>};

}  // namespace tessera::kernels::cuda
