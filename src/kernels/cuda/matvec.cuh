// gguf_linear for few tokens, by the form of its input.
#pragma once

#include "kernels/cuda/matvec_few.cuh"
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
    if (args.x.group != F::kGroup) return fail(failure, "matvec: activations quantized in groups of another size");
    for (int i = 0; i < args.n_jobs; ++i)
      if (args.jobs[i].gate != 0 && args.jobs[i].bias != 0) return fail(failure, "matvec: a gated job has no bias");
    if (args.made.m != 0) {
      const bool fits = leaves_form(args) && args.made.form == Form::kInt8 && args.made.m == args.x.m &&
                        args.made.k == args.jobs[0].n && args.made.q != args.x.q && args.outputs != 0;
      if (!fits) return fail(failure, "matvec: its result cannot be made in this form");
    }
    if (args.x.m <= kFewTokens) return matvec_few<F>(device, args, failure);
    return matvec_int8<F>(device, args, failure);
  }
}

}  // namespace tessera::kernels::cuda
