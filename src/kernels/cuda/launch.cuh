// How launchers reach the device: CUDA's (device.cuh) or the emulated one (emulator/device.h). Both give
//   launch(device, shape, kernel, args, failure)     enqueues; 0, or not 0 with a message
//   resident_blocks(device, kernel, shape)           how many blocks of this shape the device holds at once
//   fail(failure, message)                           a message, and 1
#pragma once

#include "kernels/cuda/api.h"

namespace tessera::kernels::cuda {

constexpr int min_of_sizes(int a, int b) { return a < b ? a : b; }
constexpr int pieces_of(int64_t n, int piece) { return static_cast<int>((n + piece - 1) / piece); }
int fail(Failure* failure, const char* message);

}  // namespace tessera::kernels::cuda

#ifdef __CUDACC__
#include "kernels/cuda/device.cuh"
#else
#include "kernels/cuda/emulator/device.h"
#endif
