// The launchers as rows of the table of api.h; included by whoever fills one.
#pragma once

#include "kernels/cuda/activations.cuh"
#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/format_kernels.h"
#include "kernels/cuda/limits.cuh"
#include "kernels/cuda/rows.cuh"
#include "kernels/cuda/sampling.cuh"
#include "kernels/cuda/step_end.cuh"

namespace tessera::kernels::cuda {

int enter(Device& device, Failure* failure);  // makes it the thread's current device

template <typename Args, int (*kLauncher)(Device&, const Args&, Failure*)>
int call(Device* device, const Args* args, Failure* failure) {
  if (enter(*device, failure)) return 1;
  return kLauncher(*device, *args, failure);
}

template <typename Args, auto kMember>
int call_of_format(Device* device, const Args* args, Failure* failure) {
  const FormatKernels* kernels = find_kernels(args->format);
  if (!kernels) return fail(failure, "no CUDA kernels for this weight format");
  if (enter(*device, failure)) return 1;
  return (kernels->*kMember)(*device, *args, failure);
}

inline int checked_matvec(Device* device, const LinearArgs* args, Failure* failure) {
  if (args->x.m < 1 || args->n_jobs < 1 || args->n_jobs > kMaxJobs ||
      (args->x.form == Form::kInt8 && args->x.m > kMaxVecTokens))
    return fail(failure, "matvec: arguments out of range");
  return call_of_format<LinearArgs, &FormatKernels::matvec>(device, args, failure);
}

inline void fill_operations(Api& api) {
  api.activations = call<ActivationsArgs, make_activations>;
  api.matvec = checked_matvec;
  api.matmul = call_of_format<LinearArgs, &FormatKernels::matmul>;
  api.embedding = call_of_format<EmbeddingArgs, &FormatKernels::embedding>;
  api.norm = call<NormArgs, norm>;
  api.soft_cap = call<SoftCapArgs, soft_cap>;
  api.geglu = call<GegluArgs, geglu>;
  api.rope_table = call<RopeTableArgs, rope_table>;
  api.attention = call<AttentionArgs, attention>;
  api.sample = call<SampleArgs, sample>;
  api.advance = call<AdvanceArgs, advance>;
  api.read = call<ReadArgs, read_memory>;
  api.peak = call<PeakArgs, measure_peak>;
}

}  // namespace tessera::kernels::cuda
