// gguf_embedding: out[t] = row ids[t] of a packed table, times a factor. A warp per token and 1024 values, a slice a
// lane. Reference: quant::Format::dequantize. Bytes moved: m rows.
#pragma once

#include "kernels/cuda/formats.cuh"
#include "kernels/cuda/launch.cuh"

namespace tessera::kernels::cuda {

template <typename F>
TESSERA_KERNEL(kWarp, 1)
embedding_kernel(EmbeddingArgs a) {
  let_next_start();
  wait_for_previous();
  const int slice = block_x() * kWarp + lane();
  const int64_t token = block_y();
  if (slice * kSlice >= a.k) return;
  const int id = global<const int32_t>(a.ids)[token];
  float values[kSlice];
  if (id >= 0 && id < a.n_rows) {
    const Global<const uint8_t> row = global<const uint8_t>(a.table) + id * row_bytes<F>(a.k);
    dequantize_slice<F>(row, slice, a.k, values);
  } else {
    for (int i = 0; i < kSlice; ++i) values[i] = float_of_bits(0x7fc00000u);
  }
  TESSERA_UNROLL
  for (int i = 0; i < kSlice; ++i)
    if (slice * kSlice + i < a.k) store_float(a.out, a.element, token * a.k + slice * kSlice + i, values[i] * a.factor);
}

template <typename F>
int embedding(Device& device, const EmbeddingArgs& args, Failure* failure) {
  Launch shape;
  shape.threads = kWarp;
  shape.blocks = {pieces_of(args.k, kWarp * kSlice), args.m, 1};
  return launch(device, shape, embedding_kernel<F>, args, failure);
}

}  // namespace tessera::kernels::cuda
