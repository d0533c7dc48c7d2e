#include "kernels/cpu/linear_kernels.h"

#include "kernels/cpu/avx512/linear_tiles.h"
#include "kernels/cpu/avx512/vocabulary.h"
#include "kernels/cpu/linear_exact.h"
#include "kernels/cpu/linear_quantize.h"

namespace tessera::kernels::cpu::avx512 {
namespace {

using ExactTiles = Exact<Vocabulary>;

constexpr FormatKernel kInt8[] = {
    {quant::GgmlType::kQ2_K, linear_q2_k}, {quant::GgmlType::kQ3_K, linear_q3_k},
    {quant::GgmlType::kQ4_K, linear_q4_k}, {quant::GgmlType::kQ5_K, linear_q5_k},
    {quant::GgmlType::kQ6_K, linear_q6_k}, {quant::GgmlType::kIQ4_XS, linear_iq4_xs},
    {quant::GgmlType::kQ4_0, linear_q4_0}, {quant::GgmlType::kQ4_1, linear_q4_1},
    {quant::GgmlType::kQ5_0, linear_q5_0}, {quant::GgmlType::kQ5_1, linear_q5_1},
    {quant::GgmlType::kQ8_0, linear_q8_0}, {quant::GgmlType::kIQ4_NL, linear_iq4_nl},
};

constexpr FormatKernel kExact[] = {
    {quant::GgmlType::kF32, ExactTiles::run_floats<LoadF32<Vocabulary>>},
    {quant::GgmlType::kF16, ExactTiles::run_floats<LoadF16<Vocabulary>>},
    {quant::GgmlType::kBF16, ExactTiles::run_floats<LoadBF16<Vocabulary>>},
};

}  // namespace

constinit const LinearKernels kLinearKernels = {
    .int8 = kInt8,
    .exact = kExact,
    .dequantized = ExactTiles::run_dequantized,
    .quantize256 = Quantize<Vocabulary>::block256,
    .quantize32 = Quantize<Vocabulary>::block32x8,
};

}  // namespace tessera::kernels::cpu::avx512
