// Every kernel of this folder in a file a Mac's compiler takes alone:
//
//   xcrun -sdk macosx metal -std=metal3.1 -c gguf_kernels.metal -o gguf_kernels.air
//
// A program carries a kernel as two texts: a header (formats, matvec, matmul, embedding, in this order) and a body, to
// which MLX writes the signature from the instruction's inputs, outputs and template arguments. The signatures below
// are what it writes: an input is `device`, or `constant` where it has fewer than 8 elements; x_shape, x_ndim,
// weight_shape and the thread indices are there because the body names them. The first lines of a body, which source.cpp
// puts before the text of the file, choose the format and say whether there is a bias.
#include "formats.metal"

#include "matvec.metal"

#include "matmul.metal"

#include "embedding.metal"

template <typename Format, typename InT, typename OutT, int N, int K, int NSG>
[[kernel]] void gguf_matvec(const device InT* x [[buffer(0)]], const device uint8_t* weight [[buffer(1)]],
                            device OutT* out [[buffer(2)]],
                            uint3 threadgroup_position_in_grid [[threadgroup_position_in_grid]],
                            uint simdgroup_index_in_threadgroup [[simdgroup_index_in_threadgroup]],
                            uint thread_index_in_simdgroup [[thread_index_in_simdgroup]]) {
  const gguf::NoBias bias{};
#include "matvec_body.metal"
}

template <typename Format, typename InT, typename OutT, int N, int K, int NSG>
[[kernel]] void gguf_matvec_bias(const device InT* x [[buffer(0)]], const device uint8_t* weight [[buffer(1)]],
                                 const device InT* bias [[buffer(2)]], device OutT* out [[buffer(3)]],
                                 uint3 threadgroup_position_in_grid [[threadgroup_position_in_grid]],
                                 uint simdgroup_index_in_threadgroup [[simdgroup_index_in_threadgroup]],
                                 uint thread_index_in_simdgroup [[thread_index_in_simdgroup]]) {
#include "matvec_body.metal"
}

template <typename Format, typename InT, typename OutT, int N, int K>
[[kernel]] void gguf_matmul(const device InT* x [[buffer(0)]], const constant int* x_shape [[buffer(1)]],
                            const constant int& x_ndim [[buffer(2)]], const device uint8_t* weight [[buffer(3)]],
                            device OutT* out [[buffer(4)]],
                            uint3 threadgroup_position_in_grid [[threadgroup_position_in_grid]],
                            uint thread_index_in_threadgroup [[thread_index_in_threadgroup]],
                            uint simdgroup_index_in_threadgroup [[simdgroup_index_in_threadgroup]]) {
  const gguf::NoBias bias{};
#include "matmul_body.metal"
}

template <typename Format, typename InT, typename OutT, int N, int K>
[[kernel]] void gguf_matmul_bias(const device InT* x [[buffer(0)]], const constant int* x_shape [[buffer(1)]],
                                 const constant int& x_ndim [[buffer(2)]], const device uint8_t* weight [[buffer(3)]],
                                 const device InT* bias [[buffer(4)]], device OutT* out [[buffer(5)]],
                                 uint3 threadgroup_position_in_grid [[threadgroup_position_in_grid]],
                                 uint thread_index_in_threadgroup [[thread_index_in_threadgroup]],
                                 uint simdgroup_index_in_threadgroup [[simdgroup_index_in_threadgroup]]) {
#include "matmul_body.metal"
}

// `indices` of one token, as in decoding, are in the constant address space.
template <typename Format, typename OutT, typename Indices, int K>
[[kernel]] void gguf_embedding(const device uint8_t* weight [[buffer(0)]],
                               const constant int* weight_shape [[buffer(1)]], Indices indices [[buffer(2)]],
                               device OutT* out [[buffer(3)]],
                               uint3 thread_position_in_grid [[thread_position_in_grid]]) {
#include "embedding_body.metal"
}

#define GGUF_INSTANTIATE(name, kernel, ...) \
  template [[host_name(name)]] [[kernel]] decltype(kernel<__VA_ARGS__>) kernel<__VA_ARGS__>;

#define GGUF_LINEARS(format, dtype, name)                                                             \
  GGUF_INSTANTIATE(name "_matvec", gguf_matvec, gguf::format, dtype, dtype, 512, 1024, 2)             \
  GGUF_INSTANTIATE(name "_matvec_bias", gguf_matvec_bias, gguf::format, dtype, dtype, 512, 1024, 2)   \
  GGUF_INSTANTIATE(name "_matmul", gguf_matmul, gguf::format, dtype, dtype, 512, 1024)                \
  GGUF_INSTANTIATE(name "_matmul_bias", gguf_matmul_bias, gguf::format, dtype, dtype, 512, 1024)      \
  GGUF_INSTANTIATE(name "_embedding", gguf_embedding, gguf::format, dtype, const device int*, 1024)   \
  GGUF_INSTANTIATE(name "_embedding_1", gguf_embedding, gguf::format, dtype, const constant long*, 1024)

GGUF_LINEARS(Q4_K, float, "q4k_f32")
GGUF_LINEARS(Q4_K, half, "q4k_f16")
GGUF_LINEARS(Q4_K, bfloat, "q4k_bf16")
GGUF_LINEARS(Q5_K, float, "q5k_f32")
GGUF_LINEARS(Q5_K, half, "q5k_f16")
GGUF_LINEARS(Q5_K, bfloat, "q5k_bf16")
GGUF_LINEARS(Q6_K, float, "q6k_f32")
GGUF_LINEARS(Q6_K, half, "q6k_f16")
GGUF_LINEARS(Q6_K, bfloat, "q6k_bf16")
