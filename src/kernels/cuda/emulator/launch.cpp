#include "kernels/cuda/emulator/launch.h"

#include <cstdlib>
#include <cstring>

#include "base/check.h"
#include "kernels/emulator/dispatch.h"

namespace tessera::kernels::cuda {
namespace {

constexpr size_t kAlignment = 256;

// What the running launch and the living memory are; one of each on a thread.
thread_local DeviceMemory* memory = nullptr;
thread_local int shared_bytes_of_launch = 0;
thread_local Blocks grid_of_launch;
thread_local std::vector<CopiesInFlight*> copies_of_threads;

}  // namespace

void DeviceMemory::Free::operator()(std::byte* p) const { std::free(p); }

DeviceMemory::DeviceMemory() {
  CHECK(memory == nullptr);
  memory = this;
}
DeviceMemory::~DeviceMemory() { memory = nullptr; }

Address DeviceMemory::allocate(size_t bytes, emulator::Recording recording) {
  auto* data = static_cast<std::byte*>(std::aligned_alloc(kAlignment, (bytes / kAlignment + 1) * kAlignment));
  CHECK(data != nullptr);
  std::memset(data, kPoison, bytes);
  const auto address = reinterpret_cast<Address>(data);
  allocations_[address] = {std::unique_ptr<std::byte, Free>(data),
                           std::make_unique<emulator::Region>("device memory", data, bytes, recording)};
  return address;
}

void DeviceMemory::release(Address address) { allocations_.erase(address); }

const emulator::Region* DeviceMemory::find(Address address) const {
  auto after = allocations_.upper_bound(address);
  if (after == allocations_.begin()) return nullptr;
  const auto& [start, allocation] = *std::prev(after);
  return address - start <= allocation.region->bytes() ? allocation.region.get() : nullptr;
}

std::byte* DeviceMemory::bytes_at(Address address, size_t bytes) {
  auto after = allocations_.upper_bound(address);
  if (after == allocations_.begin()) return nullptr;
  const auto& [start, allocation] = *std::prev(after);
  const size_t offset = address - start, size = allocation.region->bytes();
  return offset <= size && bytes <= size - offset ? allocation.bytes.get() + offset : nullptr;
}

DevicePlace place_of(Address address) {
  if (address == 0) return {};
  const emulator::Region* region = memory ? memory->find(address) : nullptr;
  if (!region) emulator::fault(fmt::format("has an address {:#x} outside every allocation", address));
  return {region, region->offset_of(address)};
}

CopiesInFlight::Copy& CopiesInFlight::add(emulator::Pointer<emulator::Space::kThreadgroup, uint8_t> to) {
  if (n_ == kMaxCopies) emulator::fault(fmt::format("has more than {} copies in flight", kMaxCopies));
  Copy& copy = copies_[n_++];
  copy.to = to;
  copy.group = group_;
  std::memset(to.region()->for_write(to.offset(), 16, 16), kInFlight, 16);
  return copy;
}
void CopiesInFlight::issue(emulator::Pointer<emulator::Space::kThreadgroup, uint8_t> to,
                           emulator::Pointer<emulator::Space::kDevice, const uint8_t> from) {
  std::memcpy(add(to).bytes, from.region()->for_read(from.offset(), 16, 16), 16);
}
void CopiesInFlight::issue_zeros(emulator::Pointer<emulator::Space::kThreadgroup, uint8_t> to) {
  std::memset(add(to).bytes, 0, 16);
}

void CopiesInFlight::wait(int groups_left) {
  int kept = 0;
  for (int i = 0; i < n_; ++i) {
    Copy& copy = copies_[i];
    if (copy.group >= group_ - groups_left)
      copies_[kept++] = copy;
    else
      std::memcpy(copy.to.region()->for_write(copy.to.offset(), 16, 16), copy.bytes, 16);
  }
  n_ = kept;
}

CopiesInFlight& copies_in_flight() { return *copies_of_threads[emulator::this_thread().thread_index_in_threadgroup]; }
const emulator::Region* shared_region() {
  return emulator::threadgroup_region(0, "shared memory", static_cast<size_t>(shared_bytes_of_launch));
}
const Blocks& current_grid() { return grid_of_launch; }

Status launch_emulated(const Blocks& blocks, int n_threads, int shared_bytes, const std::function<void()>& kernel) {
  CHECK(blocks.x > 0 && blocks.y > 0 && blocks.z > 0 && n_threads > 0 && n_threads % 32 == 0);
  const auto n = static_cast<uint32_t>(n_threads);
  const emulator::Grid grid{
      {static_cast<uint32_t>(blocks.x) * n, static_cast<uint32_t>(blocks.y), static_cast<uint32_t>(blocks.z)},
      {n, 1, 1}};
  shared_bytes_of_launch = shared_bytes;
  grid_of_launch = blocks;
  // Allocated once: a thread that faults never returns to free its own.
  std::vector<CopiesInFlight> copies(n);
  copies_of_threads.clear();
  for (CopiesInFlight& of_thread : copies) copies_of_threads.push_back(&of_thread);
  return emulator::dispatch(grid, emulator::all_groups(grid), [&] {
    kernel();
    if (!copies_in_flight().empty()) emulator::fault("ends with copies it never waited for");
  });
}

}  // namespace tessera::kernels::cuda
