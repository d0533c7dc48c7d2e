// A layer's attention: which kernels do it. Head norms, rotation and cache write, then softmax attention over the
// cache. References: runtime/steps/attention_step.cpp, kernels/cpu/attention.h.
#pragma once

#include "kernels/cuda/attention_exact.cuh"
#include "kernels/cuda/attention_heads.cuh"
#include "kernels/cuda/flash_decode.cuh"
#include "kernels/cuda/flash_prefill.cuh"

namespace tessera::kernels::cuda {

inline int attention_alone(Device& device, const AttentionArgs& args, Failure* failure) {
  const bool is_bf16 = args.kv_element == Element::kBF16;
  if (has_flash_decode(device, args))
    return is_bf16 ? flash_decode<true>(device, args, failure) : flash_decode<false>(device, args, failure);
  if (!has_flash_prefill(device, args))
    return attention_input<false>(device, args, failure) ? 1 : exact_attention(device, args, failure);
  if (attention_input<true>(device, args, failure)) return 1;
  if (is_bf16 ? flash_prefill<true>(device, args, failure) : flash_prefill<false>(device, args, failure)) return 1;
  return args.n_splits > 1 ? combine(device, args, failure) : 0;
}

inline int attention(Device& device, const AttentionArgs& args, Failure* failure) {
  if (args.head_dim > kMaxHeadDim || args.head_dim % 2 != 0)
    return fail(failure, "attention: heads of up to 512 values");
  if (args.n_splits < 1 || args.n_splits > kMostPieces) return fail(failure, "attention: pieces out of range");
  // Maxima are taken of scores before they are scaled.
  if (!(args.scale > 0)) return fail(failure, "attention: a scale that is not positive");
  if (args.made.m == 0) return attention_alone(device, args, failure);
  if (args.made.form != Form::kInt8 || args.made.m != args.m || args.made.k != args.n_heads * args.head_dim)
    return fail(failure, "attention: its result cannot be made in this form");
  if (has_flash_decode(device, args) && has_whole_groups(args)) return attention_alone(device, args, failure);
  AttentionArgs alone = args;
  alone.made = {};
  if (attention_alone(device, alone, failure)) return 1;
  return make_activations(device, {.x = args.out, .element = args.out_element, .out = args.made}, failure);
}

}  // namespace tessera::kernels::cuda
