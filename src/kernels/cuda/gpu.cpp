#include "kernels/cuda/gpu.h"

#include <algorithm>
#include <array>
#include <numeric>

namespace tessera::kernels::cuda {

Arena::~Arena() {
  if (!addresses_.empty()) gpu_->api_.release(gpu_->device_, addresses_.data(), addresses_.size());
}
Arena& Arena::operator=(Arena&& other) noexcept {
  std::swap(gpu_, other.gpu_);
  std::swap(addresses_, other.addresses_);
  return *this;
}

Result<std::shared_ptr<Gpu>> Gpu::open(const Api& api, int ordinal) {
  Device* device = nullptr;
  DeviceInfo info{};
  TRY(status([&](Failure* failure) { return api.open(ordinal, &device, &info, failure); }));
  return std::shared_ptr<Gpu>(new Gpu(api, device, info));
}
Gpu::~Gpu() { api_.close(device_); }

Result<Arena> Gpu::allocate(std::span<const uint64_t> bytes) {
  constexpr uint64_t kPiece = 16;
  std::vector<uint64_t> padded;
  for (uint64_t n : bytes) padded.push_back((std::max<uint64_t>(n, 1) + kPiece - 1) / kPiece * kPiece);
  std::vector<Address> addresses(bytes.size());
  if (bytes.empty()) return Arena();
  Failure failure{};
  if (api_.allocate(device_, padded.data(), padded.size(), addresses.data(), &failure))
    return make_error(ErrorCode::kOutOfMemory, "{}: {:.1f} MB for {} places: {}", info_.name,
                      static_cast<double>(std::accumulate(padded.begin(), padded.end(), uint64_t{0})) / 1e6,
                      padded.size(), failure.message);
  return Arena(shared_from_this(), std::move(addresses));
}
Result<Buffer> Gpu::allocate(uint64_t bytes) { return Buffer(TRY(allocate(std::span(&bytes, 1)))); }
Result<Buffer> Gpu::upload(std::span<const std::byte> bytes) {
  Buffer buffer = TRY(allocate(bytes.size()));
  TRY(upload(buffer.address(), bytes));
  return buffer;
}
Status Gpu::upload(Address to, std::span<const std::byte> bytes) {
  const UploadPart part{to, bytes.data(), bytes.size()};
  return upload(std::span(&part, 1));
}
Status Gpu::upload(std::span<const UploadPart> parts) {
  return status([&](Failure* failure) { return api_.upload(device_, parts.data(), parts.size(), failure); });
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
