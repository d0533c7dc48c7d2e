#include TESSERA_VOCABULARY
#include "kernels/cpu/linear_kernels.h"
#include "kernels/cpu/linear_exact.h"
#include "kernels/cpu/linear_quantize.h"
#include "kernels/cpu/linear_tile.h"
#include "kernels/cpu/unpack/affine.h"
#include "kernels/cpu/unpack/formats.h"

namespace tessera::kernels::cpu::TESSERA_ISA {
namespace {

using quant::GgmlType;
using V = Vocabulary;

template <class F>
constexpr FormatKernel kernel_of(GgmlType type) {
  return {type, linear_tile<V, F>, kMostRows<V, F>};
}

constexpr FormatKernel kInt8[] = {
    kernel_of<UnpackQ2K<V>>(GgmlType::kQ2_K),  kernel_of<UnpackQ3K<V>>(GgmlType::kQ3_K),
    kernel_of<UnpackQ4K<V>>(GgmlType::kQ4_K),  kernel_of<UnpackQ5K<V>>(GgmlType::kQ5_K),
    kernel_of<UnpackQ6K<V>>(GgmlType::kQ6_K),  kernel_of<UnpackIQ4XS<V>>(GgmlType::kIQ4_XS),
    kernel_of<UnpackQ4_0<V>>(GgmlType::kQ4_0), kernel_of<UnpackQ4_1<V>>(GgmlType::kQ4_1),
    kernel_of<UnpackQ5_0<V>>(GgmlType::kQ5_0), kernel_of<UnpackQ5_1<V>>(GgmlType::kQ5_1),
    kernel_of<UnpackQ8_0<V>>(GgmlType::kQ8_0), kernel_of<UnpackIQ4NL<V>>(GgmlType::kIQ4_NL),
};

constexpr AffineKernel kAffine[] = {
    {2, linear_tile<V, UnpackAffine<V, 2>>}, {3, linear_tile<V, UnpackAffine<V, 3>>},
    {4, linear_tile<V, UnpackAffine<V, 4>>}, {5, linear_tile<V, UnpackAffine<V, 5>>},
    {6, linear_tile<V, UnpackAffine<V, 6>>}, {8, linear_tile<V, UnpackAffine<V, 8>>},
};

constexpr FormatKernel kExact[] = {
    {GgmlType::kF32, Exact<V>::run_floats<LoadF32<F32x16>>},
    {GgmlType::kF16, Exact<V>::run_floats<LoadF16<F32x16>>},
    {GgmlType::kBF16, Exact<V>::run_floats<LoadBF16<F32x16>>},
};

}  // namespace

extern const LinearKernels kLinearKernels;
constinit const LinearKernels kLinearKernels = {
    .int8 = kInt8,
    .affine = kAffine,
    .exact = kExact,
    .dequantized = Exact<V>::run_dequantized,
    .quantize256 = Quantize<V>::block256,
    .quantize32 = Quantize<V>::block32x8,
};

}  // namespace tessera::kernels::cpu::TESSERA_ISA
