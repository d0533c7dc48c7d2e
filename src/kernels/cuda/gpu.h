// A GPU behind the table of api.h, with what C++ adds: ownership and errors. Works on the emulated device as well. Not
// thread-safe: callers take turns.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "base/dtype.h"
#include "base/result.h"
#include "kernels/cuda/api.h"
#include "quant/format.h"

namespace tessera::kernels::cuda {

class Gpu;

// Device memory, freed with the object.
class Buffer {
 public:
  Buffer() = default;
  Buffer(std::shared_ptr<Gpu> gpu, Address address, uint64_t bytes)
      : gpu_(std::move(gpu)), address_(address), bytes_(bytes) {}
  ~Buffer();
  Buffer(Buffer&& other) noexcept { *this = std::move(other); }
  Buffer& operator=(Buffer&& other) noexcept;

  Address address() const { return address_; }
  uint64_t bytes() const { return bytes_; }

 private:
  std::shared_ptr<Gpu> gpu_;
  Address address_ = 0;
  uint64_t bytes_ = 0;
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
  Result<Buffer> upload(std::span<const std::byte> bytes);  // into a buffer of its own
  Status upload(Address to, std::span<const std::byte> bytes);
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
  friend class Buffer;
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
