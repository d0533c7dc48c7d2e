// The kernels of the compressed cache in a file a Mac's compiler takes alone:
//
//   xcrun -sdk macosx metal -std=metal3.1 -c tq_kernels.metal -o tq_kernels.air
//
// What gguf_kernels.metal says of signatures holds here. `norms` of a short cache has fewer than 8 elements and is then
// `constant`: bodies do nothing but index it.
#include "tq4.metal"

template <typename InT, int D>
[[kernel]] void tq_norm(const device InT* x [[buffer(0)]], device InT* norms [[buffer(1)]],
                        uint3 thread_position_in_grid [[thread_position_in_grid]],
                        uint thread_index_in_simdgroup [[thread_index_in_simdgroup]]) {
#include "tq_norm_body.metal"
}

template <typename InT, int B>
[[kernel]] void tq4_compress(const device InT* values [[buffer(0)]], const device bfloat* boundaries [[buffer(1)]],
                             device uint8_t* out [[buffer(2)]],
                             uint3 thread_position_in_grid [[thread_position_in_grid]]) {
#include "tq4_compress_body.metal"
}

template <typename InT, typename Norms, int D>
[[kernel]] void tq_dequant(const device uint8_t* packed [[buffer(0)]], Norms norms [[buffer(1)]],
                           const device float* centroids [[buffer(2)]], device InT* out [[buffer(3)]],
                           uint3 thread_position_in_grid [[thread_position_in_grid]],
                           uint thread_index_in_simdgroup [[thread_index_in_simdgroup]]) {
#include "tq_dequant_body.metal"
}

#define TQ_INSTANTIATE(name, kernel, ...) \
  template [[host_name(name)]] [[kernel]] decltype(kernel<__VA_ARGS__>) kernel<__VA_ARGS__>;

#define TQ_KERNELS(dtype, name)                                                        \
  TQ_INSTANTIATE(name "_norm", tq_norm, dtype, 512)                                    \
  TQ_INSTANTIATE(name "_compress", tq4_compress, dtype, 15)                            \
  TQ_INSTANTIATE(name "_dequant", tq_dequant, dtype, const device bfloat*, 512)        \
  TQ_INSTANTIATE(name "_dequant_short", tq_dequant, dtype, const constant bfloat*, 512)

TQ_KERNELS(float, "tq_f32")
TQ_KERNELS(half, "tq_f16")
TQ_KERNELS(bfloat, "tq_bf16")
