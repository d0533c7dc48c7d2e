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

template <template <class> class F>
constexpr PackedFormat packed(GgmlType type) {
  using Few = FormatTiles<std::conditional_t<std::is_void_v<V::Neighbours>, V, V::Neighbours>, F>;
  return {type, kernel_of<F>(), Few::few_exact};
}

constexpr PackedFormat kPacked[] = {
    packed<UnpackQ2K>(GgmlType::kQ2_K),       packed<UnpackQ3K>(GgmlType::kQ3_K),
    packed<UnpackQ4K>(GgmlType::kQ4_K),       packed<UnpackQ5K>(GgmlType::kQ5_K),
    packed<UnpackQ6K>(GgmlType::kQ6_K),       packed<UnpackIQ1S>(GgmlType::kIQ1_S),
    packed<UnpackIQ1M>(GgmlType::kIQ1_M),     packed<UnpackIQ2XXS>(GgmlType::kIQ2_XXS),
    packed<UnpackIQ2XS>(GgmlType::kIQ2_XS),   packed<UnpackIQ2S>(GgmlType::kIQ2_S),
    packed<UnpackIQ3XXS>(GgmlType::kIQ3_XXS), packed<UnpackIQ3S>(GgmlType::kIQ3_S),
    packed<UnpackIQ4XS>(GgmlType::kIQ4_XS),   packed<UnpackTQ1_0>(GgmlType::kTQ1_0),
    packed<UnpackTQ2_0>(GgmlType::kTQ2_0),    packed<UnpackQ4_0>(GgmlType::kQ4_0),
    packed<UnpackQ4_1>(GgmlType::kQ4_1),      packed<UnpackQ5_0>(GgmlType::kQ5_0),
    packed<UnpackQ5_1>(GgmlType::kQ5_1),      packed<UnpackQ8_0>(GgmlType::kQ8_0),
    packed<UnpackIQ4NL>(GgmlType::kIQ4_NL),   packed<UnpackMXFP4>(GgmlType::kMXFP4),
    packed<UnpackNVFP4>(GgmlType::kNVFP4),    packed<UnpackQ1_0>(GgmlType::kQ1_0),
    packed<UnpackQ2_0>(GgmlType::kQ2_0),
};

constexpr AffineCodes kAffine[] = {
    {2, kernel_of<Affine<2>::Unpack>()}, {3, kernel_of<Affine<3>::Unpack>()}, {4, kernel_of<Affine<4>::Unpack>()},
    {5, kernel_of<Affine<5>::Unpack>()}, {6, kernel_of<Affine<6>::Unpack>()}, {8, kernel_of<Affine<8>::Unpack>()},
};

constexpr FloatFormat kFloats[] = {
    {GgmlType::kF32, Exact<V>::run_floats<LoadF32<F32x16>>},
    {GgmlType::kF16, Exact<V>::run_floats<LoadF16<F32x16>>},
    {GgmlType::kBF16, Exact<V>::run_floats<LoadBF16<F32x16>>},
};

}  // namespace

extern const LinearKernels kLinearKernels;
constinit const LinearKernels kLinearKernels = {
    .packed = kPacked,
    .affine = kAffine,
    .least_panel_tokens = V::kLeastPanelTokens,
    .floats = kFloats,
    .dequantized = Exact<V>::run_dequantized,
    .quantize256 = Quantize<V>::block256,
    .quantize32 = Quantize<V>::block32x8,
};

}  // namespace tessera::kernels::cpu::TESSERA_ISA
