// A CUDA device with its stream, and launches on it.
#pragma once

#include <cuda_runtime.h>

#include <memory>

#include "kernels/cuda/api.h"
#include "kernels/cuda/transfers.cuh"

namespace tessera::kernels::cuda {

struct Blocks {
  int x = 1, y = 1, z = 1;
};
struct Launch {
  Blocks blocks;
  int threads = 32, shared_bytes = 0;
};

struct Device {
  int ordinal = 0, n_multiprocessors = 0, major = 0;
  int shared_bytes = 0;  // a block may have
  cudaStream_t stream = nullptr;
  int last_blocks = 0;  // of the last launch
  std::unique_ptr<Transfers> transfers;
  cudaEvent_t marks[2] = {};
};

int check(cudaError_t error, const char* what, Failure* failure);

inline constexpr int kSharedWithoutAsking = 48 * 1024;

template <typename Args>
int allow_shared(void (*kernel)(Args), int bytes, Failure* failure) {
  if (bytes <= kSharedWithoutAsking) return 0;
  return check(
      cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize, bytes),
      "shared memory", failure);
}

// A launch may begin before the one before it has ended.
inline bool launches_overlap(const Device& device) { return device.major >= 9; }

template <typename Args>
int resident_blocks(const Device& device, void (*kernel)(Args), const Launch& shape) {
  Failure ignored;  // launch() meets it again
  if (allow_shared(kernel, shape.shared_bytes, &ignored)) return device.n_multiprocessors;
  int per_multiprocessor = 0;
  const cudaError_t error = cudaOccupancyMaxActiveBlocksPerMultiprocessor(&per_multiprocessor, kernel, shape.threads,
                                                                          static_cast<size_t>(shape.shared_bytes));
  return device.n_multiprocessors * (error == cudaSuccess && per_multiprocessor > 0 ? per_multiprocessor : 1);
}

template <typename Args>
int launch(Device& device, const Launch& shape, void (*kernel)(Args), const Args& args, Failure* failure) {
  if (allow_shared(kernel, shape.shared_bytes, failure)) return 1;
  cudaLaunchAttribute overlap{};  // programmatic dependent launch: words.cuh, wait_for_previous
  overlap.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  overlap.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(shape.blocks.x), static_cast<unsigned>(shape.blocks.y),
                        static_cast<unsigned>(shape.blocks.z));
  config.blockDim = dim3(static_cast<unsigned>(shape.threads));
  config.dynamicSmemBytes = static_cast<size_t>(shape.shared_bytes);
  config.stream = device.stream;
  config.attrs = &overlap;
  config.numAttrs = launches_overlap(device) ? 1 : 0;
  device.last_blocks = shape.blocks.x * shape.blocks.y * shape.blocks.z;
  return check(cudaLaunchKernelEx(&config, kernel, args), "launch", failure);
}

}  // namespace tessera::kernels::cuda
