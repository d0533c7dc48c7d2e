#include "kernels/emulator/memory.h"

#include <fmt/format.h>

#include "base/check.h"

namespace tessera::kernels::emulator {
namespace {

// Is what happened `then` in the SIMD group `simd` seen by `now` whoever did it: did a barrier come between? Device
// memory has none within a dispatch.
bool is_ordered(Recording recording, const Epoch& then, uint32_t simd, const Accessor& now) {
  if (recording != Recording::kThreadgroup) return false;
  return then.group != now.epoch.group || (simd == now.simd_group && then.simd != now.epoch.simd);
}

std::string name_of(uint32_t accessor) {
  return accessor == ByteShadow::kMany ? "other threads" : fmt::format("thread {}", accessor - 1);
}

}  // namespace

Region::Region(std::string_view name, void* data, size_t bytes, Recording recording)
    : name_(name), data_(static_cast<std::byte*>(data)), bytes_(bytes), recording_(recording) {
  if (recording == Recording::kNone) return;
  shadow_.reset(static_cast<ByteShadow*>(std::calloc(bytes, sizeof(ByteShadow))));
  CHECK(shadow_ != nullptr);
}

void Region::forget() { std::memset(static_cast<void*>(shadow_.get()), 0, bytes_ * sizeof(ByteShadow)); }

void Region::bad_access(const char* verb, int64_t offset, size_t size, size_t alignment) const {
  if (outside(offset, size))
    fault(fmt::format("{} {} bytes at offset {} of {}, which has {}", verb, size, offset, name_, bytes_));
  fault(fmt::format("{} {} bytes at offset {} of {}, whose address is no multiple of {}", verb, size, offset, name_,
                    alignment));
}

void Region::note_read(int64_t offset, size_t size) const {
  const Accessor now = current_accessor();
  const uint32_t me = now.thread + 1;
  for (ByteShadow* byte = &shadow_[offset]; byte != &shadow_[offset] + size; ++byte) {
    const auto at = byte - shadow_.get();
    if (byte->writer == 0) fault(fmt::format("reads byte {} of {}, which nobody wrote", at, name_));
    if (byte->writer != me && !is_ordered(recording_, byte->written, byte->writer_simd, now))
      fault(
          fmt::format("reads byte {} of {}, which {} wrote with no barrier between", at, name_, name_of(byte->writer)));
    const bool is_first = byte->reader == 0 || byte->read.group != now.epoch.group;
    byte->reader_simd = is_first || byte->reader_simd == now.simd_group ? now.simd_group : ByteShadow::kMany;
    byte->reader = is_first || byte->reader == me ? me : ByteShadow::kMany;
    byte->read = now.epoch;
  }
}

void Region::note_write(int64_t offset, size_t size) const {
  const Accessor now = current_accessor();
  const uint32_t me = now.thread + 1;
  for (ByteShadow* byte = &shadow_[offset]; byte != &shadow_[offset] + size; ++byte) {
    const auto at = byte - shadow_.get();
    if (byte->writer != 0 && byte->writer != me && !is_ordered(recording_, byte->written, byte->writer_simd, now))
      fault(fmt::format("writes byte {} of {}, which {} wrote with no barrier between", at, name_,
                        name_of(byte->writer)));
    if (byte->reader != 0 && byte->reader != me && !is_ordered(recording_, byte->read, byte->reader_simd, now))
      fault(
          fmt::format("writes byte {} of {}, which {} read with no barrier between", at, name_, name_of(byte->reader)));
    byte->writer = me;
    byte->writer_simd = now.simd_group;
    byte->written = now.epoch;
  }
}

void Region::note_handing_over(int64_t offset, size_t size) const {
  constexpr Epoch kNever = {UINT32_MAX, UINT32_MAX};
  for (ByteShadow* byte = &shadow_[offset]; byte != &shadow_[offset] + size; ++byte) {
    *byte = {};
    byte->writer = ByteShadow::kMany;
    byte->written = kNever;
  }
}

// Atomic changes race with ordinary accesses, not with each other.
void Region::note_atomic(int64_t offset, size_t size) const {
  const Accessor now = current_accessor();
  const uint32_t me = now.thread + 1;
  for (ByteShadow* byte = &shadow_[offset]; byte != &shadow_[offset] + size; ++byte) {
    const auto at = byte - shadow_.get();
    if (byte->writer == 0) fault(fmt::format("changes byte {} of {}, which nobody wrote", at, name_));
    const bool is_atomic = byte->writer == ByteShadow::kMany;
    if (!is_atomic && byte->writer != me && !is_ordered(recording_, byte->written, byte->writer_simd, now))
      fault(fmt::format("changes byte {} of {}, which {} wrote with no barrier between", at, name_,
                        name_of(byte->writer)));
    if (byte->reader != 0 && byte->reader != me && !is_ordered(recording_, byte->read, byte->reader_simd, now))
      fault(fmt::format("changes byte {} of {}, which {} read with no barrier between", at, name_,
                        name_of(byte->reader)));
    const bool is_first = !is_atomic || byte->written.group != now.epoch.group;
    byte->writer_simd = is_first || byte->writer_simd == now.simd_group ? now.simd_group : ByteShadow::kMany;
    byte->writer = ByteShadow::kMany;
    byte->written = now.epoch;
  }
}

}  // namespace tessera::kernels::emulator
