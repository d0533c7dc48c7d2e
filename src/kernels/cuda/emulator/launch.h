// Launches of CUDA kernels on the CPU, and the device memory they see. Not thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "base/result.h"
#include "kernels/cuda/api.h"
#include "kernels/emulator/threadgroup.h"

namespace tessera::kernels::cuda {

// Where an address lies; region is null for address 0. An address outside every allocation is a fault of the thread.
struct DevicePlace {
  const emulator::Region* region = nullptr;
  int64_t offset = 0;
};
DevicePlace place_of(Address address);

// Allocations: addresses are those of the host, bytes are kPoison until somebody writes.
class DeviceMemory {
 public:
  static constexpr uint8_t kPoison = 0xff;  // a NaN in every float type
  DeviceMemory();
  ~DeviceMemory();
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;

  // At a multiple of 256. `recording` finds bytes that nobody or two threads of a launch wrote.
  Address allocate(size_t bytes, emulator::Recording recording = emulator::Recording::kNone);
  void release(Address address);
  // The host's view of [address, address + bytes), or null when it is not inside one allocation.
  std::byte* bytes_at(Address address, size_t bytes);
  const emulator::Region* find(Address address) const;

 private:
  struct Free {
    void operator()(std::byte* p) const;
  };
  struct Allocation {
    std::unique_ptr<std::byte, Free> bytes;
    std::unique_ptr<emulator::Region> region;
  };
  std::map<Address, Allocation> allocations_;
};

// The copies of one thread.
class CopiesInFlight {
 public:
  static constexpr int kMaxCopies = 256;
  static constexpr uint8_t kInFlight = 0xcd;
  void issue(emulator::Pointer<emulator::Space::kThreadgroup, uint8_t> to,
             emulator::Pointer<emulator::Space::kDevice, const uint8_t> from);
  void issue_zeros(emulator::Pointer<emulator::Space::kThreadgroup, uint8_t> to);
  void commit() { ++group_; }
  void wait(int groups_left);
  bool empty() const { return n_ == 0; }

 private:
  struct Copy {
    emulator::Pointer<emulator::Space::kThreadgroup, uint8_t> to;
    uint8_t bytes[16];
    int group;
  };
  Copy& add(emulator::Pointer<emulator::Space::kThreadgroup, uint8_t> to);
  Copy copies_[kMaxCopies];
  int n_ = 0, group_ = 0;
};
CopiesInFlight& copies_in_flight();  // of the running thread
const emulator::Region* shared_region();
struct Blocks {
  int x = 1, y = 1, z = 1;
};
const Blocks& current_grid();

// Runs `kernel` in n_threads threads of every block, with shared_bytes of shared memory. Errors: what the emulator
// found, a thread that ends with copies it never waited for.
Status launch_emulated(const Blocks& blocks, int n_threads, int shared_bytes, const std::function<void()>& kernel);

}  // namespace tessera::kernels::cuda
