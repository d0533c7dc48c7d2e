// A plan's steps for a given number of tokens as launches on the device.
#pragma once

#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "runtime/device/device_memory.h"
#include "runtime/device/device_model.h"
#include "runtime/step_visitor.h"

namespace tessera::runtime {

// Rows of a slot on the device.
struct DeviceRows {
  kernels::cuda::Address address = 0;
  int64_t rows = 0, width = 0;
  kernels::cuda::Element element = kernels::cuda::Element::kF32;
  uint32_t storage = 0;  // which of the slots' places; views share it

  kernels::cuda::Address last_row() const {
    const uint64_t size = element == kernels::cuda::Element::kF32 ? 4 : 2;
    return address + static_cast<uint64_t>((rows - 1) * width) * size;
  }
};

inline constexpr std::string_view kPositionKind = "position";
struct DeviceStep {
  std::vector<std::function<Status(kernels::cuda::Gpu&)>> launches;
  std::vector<std::string_view> kinds;  // of each launch: the kind of its step, or of what it does for any
  DeviceRows logits;
};

// One step of n_tokens from the ids and the position in `memory` to logits; the position is advanced at its end.
Result<DeviceStep> lower(const DeviceModel& model, SessionMemory& memory, int64_t n_tokens);

}  // namespace tessera::runtime
