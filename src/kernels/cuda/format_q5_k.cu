#include "kernels/cuda/embedding.cuh"
#include "kernels/cuda/format_kernels.h"
#include "kernels/cuda/matmul.cuh"
#include "kernels/cuda/matvec.cuh"

namespace tessera::kernels::cuda {

const FormatKernels kKernelsQ5K = {matvec<Q5K>, matmul<Q5K>, embedding<Q5K>};

}  // namespace tessera::kernels::cuda
