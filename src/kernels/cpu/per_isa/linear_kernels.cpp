#include TESSERA_VOCABULARY

#include <type_traits>

#include "kernels/cpu/linear_exact.h"
#include "kernels/cpu/linear_kernels.h"
#include "kernels/cpu/linear_quantize.h"
#include "kernels/cpu/linear_tile.h"
#include "kernels/cpu/unpack/formats.h"

namespace tessera::kernels::cpu::TESSERA_ISA {
namespace {

using quant::GgmlType;
using V = Vocabulary;

// Those of the vocabulary `Of`, if it is one.
template <class Of, template <class> class F>
constexpr TileFn neighbours_of() {
  if constexpr (!std::is_void_v<Of>) return FormatTiles<Of, F>::few_neighbours;
  return nullptr;
}
template <class Of, template <class> class F>
constexpr TileFn distant_of() {
  if constexpr (!std::is_void_v<Of>)
    if constexpr (FormatTiles<Of, F>::kDistant) return FormatTiles<Of, F>::few_distant;
  return nullptr;
}

template <template <class> class F>
constexpr Int8Kernel kernel_of() {
  using Tiles = FormatTiles<V, F>;
  Int8Kernel kernel{.neighbours = neighbours_of<V::Neighbours, F>(),
                    .distant = distant_of<V::Distant, F>(),
                    .panels = Tiles::panels,
                    .matrix = nullptr};
  if constexpr (V::kProducts == Products::kMatrix) kernel.matrix = Tiles::matrix;
  return kernel;
}

constexpr Int8Format kInt8[] = {
    {GgmlType::kQ2_K, kernel_of<UnpackQ2K>()},       {GgmlType::kQ3_K, kernel_of<UnpackQ3K>()},
    {GgmlType::kQ4_K, kernel_of<UnpackQ4K>()},       {GgmlType::kQ5_K, kernel_of<UnpackQ5K>()},
    {GgmlType::kQ6_K, kernel_of<UnpackQ6K>()},       {GgmlType::kIQ4_XS, kernel_of<UnpackIQ4XS>()},
    {GgmlType::kIQ1_S, kernel_of<UnpackIQ1S>()},     {GgmlType::kIQ1_M, kernel_of<UnpackIQ1M>()},
    {GgmlType::kIQ2_XXS, kernel_of<UnpackIQ2XXS>()}, {GgmlType::kIQ2_XS, kernel_of<UnpackIQ2XS>()},
    {GgmlType::kIQ2_S, kernel_of<UnpackIQ2S>()},     {GgmlType::kIQ3_XXS, kernel_of<UnpackIQ3XXS>()},
    {GgmlType::kIQ3_S, kernel_of<UnpackIQ3S>()},     {GgmlType::kTQ1_0, kernel_of<UnpackTQ1_0>()},
    {GgmlType::kTQ2_0, kernel_of<UnpackTQ2_0>()},    {GgmlType::kQ4_0, kernel_of<UnpackQ4_0>()},
    {GgmlType::kQ4_1, kernel_of<UnpackQ4_1>()},      {GgmlType::kQ5_0, kernel_of<UnpackQ5_0>()},
    {GgmlType::kQ5_1, kernel_of<UnpackQ5_1>()},      {GgmlType::kQ8_0, kernel_of<UnpackQ8_0>()},
    {GgmlType::kIQ4_NL, kernel_of<UnpackIQ4NL>()},
};

constexpr Int8Affine kAffine[] = {
    {2, kernel_of<Affine<2>::Unpack>()}, {3, kernel_of<Affine<3>::Unpack>()}, {4, kernel_of<Affine<4>::Unpack>()},
    {5, kernel_of<Affine<5>::Unpack>()}, {6, kernel_of<Affine<6>::Unpack>()}, {8, kernel_of<Affine<8>::Unpack>()},
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
    .least_panel_tokens = V::kLeastPanelTokens,
    .exact = kExact,
    .dequantized = Exact<V>::run_dequantized,
    .quantize256 = Quantize<V>::block256,
    .quantize32 = Quantize<V>::block32x8,
};

}  // namespace tessera::kernels::cpu::TESSERA_ISA
