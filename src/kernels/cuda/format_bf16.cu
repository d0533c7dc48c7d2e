#include "kernels/cuda/embedding.cuh"
#include "kernels/cuda/format_kernels.h"
#include "kernels/cuda/matmul.cuh"
#include "kernels/cuda/matvec.cuh"

namespace tessera::kernels::cuda {

const FormatKernels kKernelsBF16 = {matvec<BF16W>, matmul<BF16W>, embedding<BF16W>};

}  // namespace tessera::kernels::cuda
