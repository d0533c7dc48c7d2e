// How launchers reach the device: CUDA's (device.cuh) or the emulated one (emulator/device.h). Both give
//   launch(device, shape, kernel, args, failure)     enqueues; 0, or not 0 with a message
//   resident_blocks(device, kernel, shape)           how many blocks of this shape the device holds at once
//   launches_overlap(device)                         whether one may begin before the one before it has ended
//   device.last_blocks                               how many blocks the last one has
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

namespace tessera::kernels::cuda {

// Multiprocessors that launches which fill whole ones leave to small launches between them: these begin, and have their
// instructions and constants, long before their input is there, and the launches after them find the others free.
inline int spare_multiprocessors(const Device& device) {
  return launches_overlap(device) ? device.n_multiprocessors / 32 : 0;
}
// Whether the last launch does.
inline bool leaves_room(const Device& device) {
  return device.last_blocks <= device.n_multiprocessors - spare_multiprocessors(device);
}

}  // namespace tessera::kernels::cuda
