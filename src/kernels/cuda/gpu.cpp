#include "kernels/cuda/gpu.h"

#include <algorithm>
#include <array>

namespace tessera::kernels::cuda {

Buffer::~Buffer() {
  if (address_ != 0) gpu_->api_.release(gpu_->device_, address_);
}
Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(gpu_, other.gpu_);
  std::swap(address_, other.address_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Result<std::shared_ptr<Gpu>> Gpu::open(const Api& api, int ordinal) {
  Device* device = nullptr;
  DeviceInfo info{};
  TRY(status([&](Failure* failure) { return api.open(ordinal, &device, &info, failure); }));
  return std::shared_ptr<Gpu>(new Gpu(api, device, info));
}
Gpu::~Gpu() { api_.close(device_); }

Result<Buffer> Gpu::allocate(uint64_t bytes) {
  constexpr uint64_t kPiece = 16;
  const uint64_t padded = (std::max<uint64_t>(bytes, 1) + kPiece - 1) / kPiece * kPiece;
  Address address = 0;
  TRY(status([&](Failure* failure) { return api_.allocate(device_, padded, &address, failure); }));
  return Buffer(shared_from_this(), address, padded);
}
Result<Buffer> Gpu::upload(std::span<const std::byte> bytes) {
  Buffer buffer = TRY(allocate(bytes.size()));
  TRY(upload(buffer.address(), bytes));
  return buffer;
}
Status Gpu::upload(Address to, std::span<const std::byte> bytes) {
  return status([&](Failure* failure) { return api_.upload(device_, to, bytes.data(), bytes.size(), failure); });
}
Status Gpu::download(std::span<std::byte> to, Address from) {
  return status([&](Failure* failure) { return api_.download(device_, to.data(), from, to.size(), failure); });
}
Status Gpu::synchronize() {
  return status([&](Failure* failure) { return api_.synchronize(device_, failure); });
}
Status Gpu::mark(int which) {
  return status([&](Failure* failure) { return api_.mark(device_, which, failure); });
}
Result<double> Gpu::seconds_between_marks() {
  double seconds = 0;
  TRY(status([&](Failure* failure) { return api_.seconds_between_marks(device_, &seconds, failure); }));
  return seconds;
}
Status Gpu::begin_capture() {
  return status([&](Failure* failure) { return api_.begin_capture(device_, failure); });
}
Result<Graph*> Gpu::end_capture() {
  Graph* graph = nullptr;
  TRY(status([&](Failure* failure) { return api_.end_capture(device_, &graph, failure); }));
  return graph;
}
Status Gpu::replay(Graph* graph) {
  return status([&](Failure* failure) { return api_.replay(device_, graph, failure); });
}

std::optional<Element> element_of(DType dtype) {
  if (dtype == DType::kF32) return Element::kF32;
  if (dtype == DType::kF16) return Element::kF16;
  if (dtype == DType::kBF16) return Element::kBF16;
  return std::nullopt;
}
std::optional<Format> format_of(const quant::Format& format) {
  constexpr std::array kWithKernels = {Format::kF32,  Format::kF16,  Format::kBF16, Format::kQ8_0,
                                       Format::kQ4_0, Format::kQ4_K, Format::kQ5_K, Format::kQ6_K};
  const auto wanted = static_cast<Format>(format.type);
  if (std::find(kWithKernels.begin(), kWithKernels.end(), wanted) == kWithKernels.end()) return std::nullopt;
  return wanted;
}

}  // namespace tessera::kernels::cuda
