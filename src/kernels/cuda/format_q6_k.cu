#include "kernels/cuda/embedding.cuh"
#include "kernels/cuda/format_kernels.h"
#include "kernels/cuda/matmul.cuh"
#include "kernels/cuda/matvec.cuh"

namespace tessera::kernels::cuda {

const FormatKernels kKernelsQ6K = {matvec<Q6K>, matmul<Q6K>, embedding<Q6K>};

}  // namespace tessera::kernels::cuda
