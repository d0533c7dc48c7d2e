// A GPU behind the table of api.h, with what C++ adds: ownership and errors. Works on the emulated device as well. Not
// thread-safe: callers take turns.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/dtype.h"
#include "base/result.h"
#include "kernels/cuda/api.h"
#include "quant/format.h"

namespace tessera::kernels::cuda {

class Gpu;

// Several places of device memory, freed with the object.
class Arena {
 public:
  Arena() = default;
  Arena(std::shared_ptr<Gpu> gpu, std::vector<Address> addresses)
      : gpu_(std::move(gpu)), addresses_(std::move(addresses)) {}
  ~Arena();
  Arena(Arena&& other) noexcept { *this = std::move(other); }
  Arena& operator=(Arena&& other) noexcept;

  Address operator[](size_t i) const { return addresses_[i]; }

 private:
  std::shared_ptr<Gpu> gpu_;
  std::vector<Address> addresses_;
};

// One place.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(Arena arena) : arena_(std::move(arena)) {}
  Address address() const { return arena_[0]; }

 private:
  Arena arena_;
};

class Gpu : public std::enable_shared_from_this<Gpu> {
 public:
  // Errors: no driver, an old one, no such GPU, one without the needed capability.
  static Result<std::shared_ptr<Gpu>> open(const Api& api, int ordinal);
  ~Gpu();
  Gpu(const Gpu&) = delete;
  Gpu& operator=(const Gpu&) = delete;

  const Api& api() const { return api_; }
  const DeviceInfo& info() const { return info_; }

  // Weights are read in pieces of 16 bytes, so every allocation has room up to the next multiple.
  Result<Buffer> allocate(uint64_t bytes);
  // One allocation in truth: a thousand would take a second.
  Result<Arena> allocate(std::span<const uint64_t> bytes);
  Result<Buffer> upload(std::span<const std::byte> bytes);  // into a buffer of its own
  Status upload(Address to, std::span<const std::byte> bytes);
  // Fastest in the order of the addresses they come from and go to.
  Status upload(std::span<const UploadPart> parts);
  Status download(std::span<std::byte> to, Address from);

  // One of the table's operations.
  template <typename Args>
  Status run(int (*Api::*operation)(Device*, const Args*, Failure*), const Args& args) {
    return status([&](Failure* failure) { return (api_.*operation)(device_, &args, failure); });
  }
  Status synchronize();
  // A measured time on the device.
  Status mark(int which);
  Result<double> seconds_between_marks();

  // Work recorded once, replayed often.
  Status begin_capture();
  Result<Graph*> end_capture();
  Status replay(Graph* graph);
  void release(Graph* graph) { api_.release_graph(device_, graph); }

 private:
  friend class Arena;
  Gpu(const Api& api, Device* device, const DeviceInfo& info) : api_(api), device_(device), info_(info) {}
  template <typename F>
  static Status status(const F& f) {
    Failure failure{};
    if (f(&failure) == 0) return {};
    return make_error(ErrorCode::kInternal, "CUDA: {}", failure.message);
  }

  const Api& api_;
  Device* device_;
  DeviceInfo info_;
};

// Null when it is not a float type the kernels know, or a format without kernels.
std::optional<Element> element_of(DType dtype);
std::optional<Format> format_of(const quant::Format& format);

}  // namespace tessera::kernels::cuda
