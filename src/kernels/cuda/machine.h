// What a machine must have before a GPU of it can be opened, each lack in its own words. Apart from CUDA, so that it is
// tested where there is none.
#pragma once

#include <cstdio>

#include "kernels/cuda/api.h"

namespace tessera::kernels::cuda {

struct Machine {
  int driver, runtime;  // versions of CUDA as 1000 major + 10 minor; driver 0: there is none
  bool is_driver_too_old;
  int n_devices;
};

template <typename... Args>
int fail_with(Failure* failure, const char* format, Args... args) {
  std::snprintf(failure->message, sizeof(failure->message), format, args...);
  return 1;
}

inline int check_machine(const Machine& machine, int ordinal, Failure* failure) {
  if (machine.driver == 0)
    return fail_with(failure, "%s", "no NVIDIA driver on this machine (libcuda.so.1 was not found)");
  if (machine.is_driver_too_old)
    return fail_with(failure, "the NVIDIA driver is too old: it knows CUDA %d.%d, this library needs %d.%d",
                     machine.driver / 1000, machine.driver % 1000 / 10, machine.runtime / 1000,
                     machine.runtime % 1000 / 10);
  if (machine.n_devices == 0)
    return fail_with(failure, "%s", "no NVIDIA GPU on this machine, or none that CUDA_VISIBLE_DEVICES shows");
  if (ordinal >= 0 && ordinal < machine.n_devices) return 0;
  return fail_with(failure, "GPU %d of %d: the last one is cuda:%d", ordinal, machine.n_devices, machine.n_devices - 1);
}

// Of the device itself: its compute capability, and whether the library has machine code for it.
struct Capability {
  const char* name;
  int major, minor;
  bool has_code;
};
inline int check_capability(const Capability& device, Failure* failure) {
  if (device.major < 8)
    return fail_with(failure, "%s has compute capability %d.%d; 8.0 or later is needed", device.name, device.major,
                     device.minor);
  if (device.has_code) return 0;
  return fail_with(failure,
                   "%s has compute capability %d.%d, for which this library was not built "
                   "(-DTESSERA_CUDA_ARCHITECTURES)",
                   device.name, device.major, device.minor);
}

}  // namespace tessera::kernels::cuda
