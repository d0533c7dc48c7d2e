// gguf_linear for few tokens, by the form of its input.
#pragma once

#include "kernels/cuda/matvec_floats.cuh"
#include "kernels/cuda/matvec_int8.cuh"

namespace tessera::kernels::cuda {

template <typename F>
int matvec(Device& device, const LinearArgs& args, Failure* failure) {
  if (args.x.form == Form::kF32) {
    if constexpr (F::kIsFloat)
      if (args.x.m == 1 && has_whole_words<F>(args)) return matvec_floats<F>(device, args, failure);
    return matvec_exact<F>(device, args, failure);
  }
  if constexpr (F::kIsFloat) {
    return fail(failure, "matvec of floats needs the activations as f32");
  } else {
    if (args.x.form != Form::kInt8) return fail(failure, "matvec needs the activations as codes or f32");
    return matvec_int8<F>(device, args, failure);
  }
}

}  // namespace tessera::kernels::cuda
