// A device without a GPU: the table of api.h over emulated launches, so that launchers, kernels and the run time's
// device sessions are tested on any machine. One at a time.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "kernels/cuda/api.h"
#include "kernels/cuda/emulator/launch.h"

namespace tessera::kernels::cuda {

struct Launch {
  Blocks blocks;
  int threads = 32, shared_bytes = 0;
};

struct Device {
  int n_multiprocessors = 2;  // few, so that persistent kernels take more than one round
  int shared_bytes = 227 * 1024;
  int last_blocks = 0;
  DeviceMemory memory;
  Graph* capturing = nullptr;
};

// Runs `work` now, or records it.
int enqueue(Device& device, std::function<int(Failure*)> work, Failure* failure);
int run_emulated(const Launch& shape, const std::function<void()>& kernel, Failure* failure);

inline bool launches_overlap(const Device&) { return false; }

template <typename Args>
int resident_blocks(const Device& device, void (*)(Args), const Launch&) {
  return device.n_multiprocessors;
}
template <typename Args>
int launch(Device& device, const Launch& shape, void (*kernel)(Args), const Args& args, Failure* failure) {
  device.last_blocks = shape.blocks.x * shape.blocks.y * shape.blocks.z;
  return enqueue(
      device,
      [shape, kernel, args](Failure* to) {
        return run_emulated(
            shape, [kernel, &args] { kernel(args); }, to);
      },
      failure);
}

// Of one card of 1 GiB, number 0; an allocation beyond that fails.
const Api& emulated_api();

}  // namespace tessera::kernels::cuda
