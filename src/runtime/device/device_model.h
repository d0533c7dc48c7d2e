// A model on a GPU: the plan of a runtime::Model, and its packed weights uploaded as they are, once for all sessions
// and once for an embedding and the head it is tied to.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "kernels/cuda/gpu.h"
#include "runtime/model.h"

namespace tessera::runtime {

class DeviceModel {
 public:
  // Errors, before anything is uploaded: an instruction or a weight format without kernels (names it); kOutOfMemory
  // when weights and one session do not fit what the card has free (needs X, has Y).
  static Result<std::shared_ptr<const DeviceModel>> create(std::shared_ptr<const Model> model,
                                                           std::shared_ptr<kernels::cuda::Gpu> gpu);

  const Model& model() const { return *model_; }
  kernels::cuda::Gpu& gpu() const { return *gpu_; }
  int64_t weight_bytes() const { return weight_bytes_; }

  // Where a packed weight, or the numbers of a step's spec, lie on the device. The spans must be those of the plan.
  kernels::cuda::Address weight(program::Tid tid) const { return weights_.at(tid.idx); }
  kernels::cuda::Address numbers(std::span<const std::byte> bytes) const {
    return bytes.empty() ? 0 : numbers_.at(bytes.data());
  }

 private:
  struct Constant {
    std::span<const std::byte> bytes;
    kernels::cuda::Address* place;
  };
  Status upload(std::vector<Constant> constants);
  Status check_room(uint64_t needed) const;
  DeviceModel(std::shared_ptr<const Model> model, std::shared_ptr<kernels::cuda::Gpu> gpu)
      : model_(std::move(model)), gpu_(std::move(gpu)) {}

  std::shared_ptr<const Model> model_;
  std::shared_ptr<kernels::cuda::Gpu> gpu_;
  kernels::cuda::Arena memory_;                                 // of both
  std::map<uint32_t, kernels::cuda::Address> weights_;          // by slot
  std::map<const std::byte*, kernels::cuda::Address> numbers_;  // by where the plan has them
  int64_t weight_bytes_ = 0;
};

// What an instruction without a fused step does on a device.
enum class DeviceInstruction {
  kNothing,      // only values, or the position, which the device keeps itself
  kLastToken,    // its result is the last row of its input
  kUnsupported,  // no kernel
};
DeviceInstruction classify(const program::Program& program, const program::Node& node);

}  // namespace tessera::runtime
