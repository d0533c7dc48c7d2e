#include TESSERA_VOCABULARY
#include "kernels/cpu/linear_kernels.h"
#include "kernels/cpu/linear_exact.h"
#include "kernels/cpu/linear_quantize.h"
#include "kernels/cpu/linear_tile.h"
#include "kernels/cpu/products.h"
#include "kernels/cpu/unpack/affine.h"
#include "kernels/cpu/unpack/formats.h"

namespace tessera::kernels::cpu::TESSERA_ISA {
namespace {

using quant::GgmlType;
using V = Vocabulary;

constexpr FormatKernel kInt8[] = {
    {GgmlType::kQ2_K, linear_tile<V, UnpackQ2K<V>>},  {GgmlType::kQ3_K, linear_tile<V, UnpackQ3K<V>>},
    {GgmlType::kQ4_K, linear_tile<V, UnpackQ4K<V>>},  {GgmlType::kQ5_K, linear_tile<V, UnpackQ5K<V>>},
    {GgmlType::kQ6_K, linear_tile<V, UnpackQ6K<V>>},  {GgmlType::kIQ4_XS, linear_tile<V, UnpackIQ4XS<V>>},
    {GgmlType::kQ4_0, linear_tile<V, UnpackQ4_0<V>>}, {GgmlType::kQ4_1, linear_tile<V, UnpackQ4_1<V>>},
    {GgmlType::kQ5_0, linear_tile<V, UnpackQ5_0<V>>}, {GgmlType::kQ5_1, linear_tile<V, UnpackQ5_1<V>>},
    {GgmlType::kQ8_0, linear_tile<V, UnpackQ8_0<V>>}, {GgmlType::kIQ4_NL, linear_tile<V, UnpackIQ4NL<V>>},
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

TileRows rows_of_vectors(int64_t m) {
  if (m >= V::kLeastPanelTokens) return {};
  return {.unit = kPanelRows, .most = V::kDistantRows ? kDistantTileRows : kTileRows};
}

TileRows rows_of_int8(int64_t m) {
  if (V::kProducts == Products::kMatrix && m >= kLeastMatrixTokens)
    return {.unit = kMatrixTileRows, .most = kMatrixTileRows};
  return rows_of_vectors(m);
}

}  // namespace

extern const LinearKernels kLinearKernels;
constinit const LinearKernels kLinearKernels = {
    .int8 = kInt8,
    .int8_rows = rows_of_int8,
    .affine = kAffine,
    .affine_rows = rows_of_vectors,
    .exact = kExact,
    .dequantized = Exact<V>::run_dequantized,
    .quantize256 = Quantize<V>::block256,
    .quantize32 = Quantize<V>::block32x8,
};

}  // namespace tessera::kernels::cpu::TESSERA_ISA
