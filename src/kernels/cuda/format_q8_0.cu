#include "kernels/cuda/embedding.cuh"
#include "kernels/cuda/format_kernels.h"
#include "kernels/cuda/matmul.cuh"
#include "kernels/cuda/matvec.cuh"

namespace tessera::kernels::cuda {

const FormatKernels kKernelsQ8_0 = {matvec<Q8_0>, matmul<Q8_0>, embedding<Q8_0>};

}  // namespace tessera::kernels::cuda
