// The launchers that depend on a weight format, one row per format; each format is a source file of its own
// (format_<name>.cu), so that they compile in parallel.
#pragma once

#include "kernels/cuda/api.h"

namespace tessera::kernels::cuda {

struct FormatKernels {
  int (*matvec)(Device& device, const LinearArgs& args, Failure* failure);
  int (*matmul)(Device& device, const LinearArgs& args, Failure* failure);
  int (*embedding)(Device& device, const EmbeddingArgs& args, Failure* failure);
};

extern const FormatKernels kKernelsF32, kKernelsF16, kKernelsBF16, kKernelsQ8_0, kKernelsQ4_0, kKernelsQ4K, kKernelsQ5K,
    kKernelsQ6K;

// Null for a format without kernels.
inline const FormatKernels* find_kernels(Format format) {
  switch (format) {
    case Format::kF32:
      return &kKernelsF32;
    case Format::kF16:
      return &kKernelsF16;
    case Format::kBF16:
      return &kKernelsBF16;
    case Format::kQ8_0:
      return &kKernelsQ8_0;
    case Format::kQ4_0:
      return &kKernelsQ4_0;
    case Format::kQ4_K:
      return &kKernelsQ4K;
    case Format::kQ5_K:
      return &kKernelsQ5K;
    case Format::kQ6_K:
      return &kKernelsQ6K;
  }
  return nullptr;
}

}  // namespace tessera::kernels::cuda
