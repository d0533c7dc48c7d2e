// Work on rows between the linears, as the CPU's fused steps do it (runtime/steps/row_steps.cpp): rows are loaded to
// f32, computed there and rounded once. Reference: ops/norm.h.
#pragma once

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/words.cuh"

namespace tessera::kernels::cuda {

inline constexpr int kNormThreads = 256, kElementThreads = 256;

TESSERA_DEVICE float weight_at(Address weight, int i) { return weight != 0 ? global<const float>(weight)[i] : 1.0f; }

// A block per row, which it keeps in shared memory: x, residual in; sum, next out, each once.
TESSERA_KERNEL(kNormThreads, 1) norm_kernel(NormArgs a) {
  const auto values = cast<float>(shared_memory());
  const auto scratch = values + a.k;  // (warps)
  constexpr int kWarps = kNormThreads / kWarp;
  wait_for_previous();
  let_next_start();
  const int64_t row = int64_t{block_x()} * a.k;
  float squares = 0;
  for (int i = thread(); i < a.k; i += kNormThreads) {
    const float x = load_float(a.x, a.element, row + i);
    values[i] = x;
    squares += x * x;
  }
  const float factor = inverse_sqrt(block_sum(squares, kWarps, scratch) / static_cast<float>(a.k) + a.branch_eps);
  squares = 0;
  for (int i = thread(); i < a.k; i += kNormThreads) {  // each thread its own elements: no barrier
    float x = values[i] * factor * weight_at(a.branch_weight, i);
    if (a.residual != 0) x = (load_float(a.residual, a.element, row + i) + x) * a.scale;
    store_float(a.sum, a.element, row + i, x);
    values[i] = x;
    squares += x * x;
  }
  if (a.next == 0) return;
  const float next_factor = inverse_sqrt(block_sum(squares, kWarps, scratch) / static_cast<float>(a.k) + a.next_eps);
  for (int i = thread(); i < a.k; i += kNormThreads)
    store_float(a.next, a.element, row + i, values[i] * next_factor * weight_at(a.next_weight, i));
}

TESSERA_KERNEL(kElementThreads, 1) soft_cap_kernel(SoftCapArgs a) {
  wait_for_previous();
  let_next_start();
  const int64_t i = int64_t{block_x()} * kElementThreads + thread();
  if (i < a.n) global<float>(a.out)[i] = a.cap * tanh_of(load_float(a.x, a.element, i) / a.cap);
}

TESSERA_KERNEL(kElementThreads, 1) geglu_kernel(GegluArgs a) {
  wait_for_previous();
  let_next_start();
  const int64_t i = int64_t{block_x()} * kElementThreads + thread();
  if (i < a.n)
    store_float(a.out, a.out_element, i, gelu_tanh(load_float(a.gate, a.element, i)) * load_float(a.up, a.element, i));
}

inline int norm(Device& device, const NormArgs& args, Failure* failure) {
  Launch shape;
  shape.threads = kNormThreads;
  shape.blocks.x = args.m;
  shape.shared_bytes = (args.k + kNormThreads / kWarp) * static_cast<int>(sizeof(float));
  return launch(device, shape, norm_kernel, args, failure);
}
inline int soft_cap(Device& device, const SoftCapArgs& args, Failure* failure) {
  Launch shape;
  shape.threads = kElementThreads;
  shape.blocks.x = pieces_of(args.n, kElementThreads);
  return launch(device, shape, soft_cap_kernel, args, failure);
}
inline int geglu(Device& device, const GegluArgs& args, Failure* failure) {
  Launch shape;
  shape.threads = kElementThreads;
  shape.blocks.x = pieces_of(args.n, kElementThreads);
  return launch(device, shape, geglu_kernel, args, failure);
}

}  // namespace tessera::kernels::cuda
