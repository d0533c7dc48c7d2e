#include "kernels/emulator/dispatch.h"

#include <algorithm>
#include <deque>
#include <memory>
#include <optional>
#include <span>

#include "base/check.h"
#include "kernels/emulator/fiber.h"
#include "kernels/emulator/threadgroup.h"

namespace tessera::kernels::emulator {
namespace {

struct Lane {
  enum class State { kReady, kExchanging, kAtBarrier, kLooking, kDone };
  State state = State::kReady;
  ThreadIndices indices = {};
  Site site = {};  // where it waits
  const char* looks_for = "";
  uint64_t history = 0;      // of the SIMD operations it came through
  uint32_t n_exchanges = 0;  // their parity chooses the slots: a lane may read while another is at the next exchange
  Accessor accessor = {};
};

struct alignas(kSlotBytes) Slots {
  std::byte bytes[2][kSimdWidth][kSlotBytes];
};

// An array in threadgroup memory.
struct SharedArray {
  std::unique_ptr<std::byte[]> bytes;
  Region region;
};

std::string describe(const Site& site) { return fmt::format("{}:{}", site.file, site.line); }
bool same_place(const Site& a, const Site& b) { return a.line == b.line && std::string_view(a.file) == b.file; }

class Dispatch {
 public:
  Dispatch(const Grid& grid, const std::function<void()>& kernel);
  Status run(const std::vector<GroupPosition>& groups);

  // Called by the running thread.
  [[noreturn]] void fault(std::string message);
  void wait(Lane::State state, const Site& site);
  void look_again(const char* message);
  void note_progress() { has_progress_ = true; }
  const std::byte* exchange(const void* value, size_t bytes, const Site& site);
  const Region* shared_array(uint32_t index, std::string_view name, size_t bytes);
  Lane& lane() { return lanes_[current_]; }
  uint32_t simd_group_size() const { return std::min(kSimdWidth, n_threads_ - current_ / kSimdWidth * kSimdWidth); }

 private:
  static void run_thread(void* self, size_t thread);
  Status run_group(const GroupPosition& group);
  void start_threads(const GroupPosition& group);
  std::span<Lane> simd_group(uint32_t index);
  void advance(std::span<Lane> simd_group);
  void meet(std::span<Lane> simd_group);
  void pass_barrier();
  bool is_running() { return std::any_of(lanes_.begin(), lanes_.begin() + n_threads_, is_not_done); }
  static bool is_not_done(const Lane& lane) { return lane.state != Lane::State::kDone; }
  static bool is_looking(const Lane& lane) { return lane.state == Lane::State::kLooking; }
  void record(const Lane& lane, const std::string& message);

  Grid grid_;
  const std::function<void()>& kernel_;
  std::vector<Lane> lanes_;
  std::vector<Slots> slots_;        // of each SIMD group
  std::deque<SharedArray> shared_;  // regions keep their addresses
  FiberPool fibers_;
  uint32_t n_threads_ = 0;  // of the current threadgroup
  uint32_t current_ = 0;
  bool has_progress_ = false;  // did anything but looking again happen?
  std::optional<Error> error_;
};

thread_local Dispatch* active = nullptr;

uint32_t volume(const uint32_t (&sizes)[3]) { return sizes[0] * sizes[1] * sizes[2]; }

Grid clamped(Grid grid) {
  for (int axis = 0; axis < 3; ++axis) grid.threadgroup[axis] = std::min(grid.threadgroup[axis], grid.threads[axis]);
  return grid;
}

Dispatch::Dispatch(const Grid& grid, const std::function<void()>& kernel)
    : grid_(clamped(grid)),
      kernel_(kernel),
      lanes_(volume(grid_.threadgroup)),
      slots_((lanes_.size() + kSimdWidth - 1) / kSimdWidth),
      fibers_(lanes_.size(), &run_thread, this) {}

void Dispatch::run_thread(void* self, size_t thread) {
  auto& dispatch = *static_cast<Dispatch*>(self);
  while (true) {  // once per threadgroup
    dispatch.kernel_();
    dispatch.lanes_[thread].state = Lane::State::kDone;
    dispatch.has_progress_ = true;
    dispatch.fibers_.suspend();
  }
}

Status Dispatch::run(const std::vector<GroupPosition>& groups) {
  active = this;
  for (const GroupPosition& group : groups) {
    const Status status = run_group(group);
    if (!status) {
      active = nullptr;
      return status;
    }
  }
  active = nullptr;
  return {};
}

void Dispatch::start_threads(const GroupPosition& group) {
  uint32_t sizes[3], first[3];
  const uint32_t position[3] = {group.x, group.y, group.z};
  for (int axis = 0; axis < 3; ++axis) {
    first[axis] = position[axis] * grid_.threadgroup[axis];
    CHECK(first[axis] < grid_.threads[axis]);
    sizes[axis] = std::min(grid_.threadgroup[axis], grid_.threads[axis] - first[axis]);
  }
  n_threads_ = volume(sizes);
  const uint32_t group_index = (group.z * grid_.groups(1) + group.y) * grid_.groups(0) + group.x;
  for (uint32_t i = 0; i < n_threads_; ++i) {
    const uint32_t x = i % sizes[0], y = i / sizes[0] % sizes[1], z = i / sizes[0] / sizes[1];
    lanes_[i] = {};
    lanes_[i].indices = {.thread_position_in_grid = {first[0] + x, first[1] + y, first[2] + z},
                         .threadgroup_position_in_grid = {group.x, group.y, group.z},
                         .thread_index_in_threadgroup = i,
                         .simdgroup_index_in_threadgroup = i / kSimdWidth,
                         .thread_index_in_simdgroup = i % kSimdWidth};
    lanes_[i].accessor.thread = group_index * static_cast<uint32_t>(lanes_.size()) + i;
    lanes_[i].accessor.simd_group = group_index * static_cast<uint32_t>(slots_.size()) + i / kSimdWidth;
  }
  for (SharedArray& array : shared_) array.region.forget();
}

Status Dispatch::run_group(const GroupPosition& group) {
  start_threads(group);
  const std::span<Lane> lanes(lanes_.data(), n_threads_);
  while (!error_ && is_running()) {
    has_progress_ = false;
    for (Lane& lane : lanes)
      if (is_looking(lane)) lane.state = Lane::State::kReady;
    for (uint32_t s = 0; s * kSimdWidth < n_threads_; ++s) advance(simd_group(s));
    if (error_ || has_progress_) continue;
    const auto looking = std::find_if(lanes.begin(), lanes.end(), is_looking);
    if (looking != lanes.end())
      record(*looking, looking->looks_for);
    else
      pass_barrier();
  }
  if (error_) return *error_;
  return {};
}

std::span<Lane> Dispatch::simd_group(uint32_t index) {
  const uint32_t begin = index * kSimdWidth;
  return std::span(lanes_).subspan(begin, std::min(kSimdWidth, n_threads_ - begin));
}

// Runs the lanes until each of them is at a barrier, waits for another, or is done.
void Dispatch::advance(std::span<Lane> simd_group) {
  const auto is_ready = [](const Lane& lane) { return lane.state == Lane::State::kReady; };
  while (!error_ && std::any_of(simd_group.begin(), simd_group.end(), is_ready)) {
    for (Lane& lane : simd_group) {
      if (!is_ready(lane)) continue;
      current_ = static_cast<uint32_t>(&lane - lanes_.data());
      fibers_.resume(current_);
      if (error_) return;
    }
    meet(simd_group);
  }
}

// If a lane waits for its SIMD group, all must, at the same place and after the same operations.
void Dispatch::meet(std::span<Lane> simd_group) {
  const auto is_exchanging = [](const Lane& lane) { return lane.state == Lane::State::kExchanging; };
  const auto first = std::find_if(simd_group.begin(), simd_group.end(), is_exchanging);
  if (first == simd_group.end() || std::any_of(simd_group.begin(), simd_group.end(), is_looking)) return;
  for (const Lane& lane : simd_group) {
    if (!is_exchanging(lane) || !same_place(lane.site, first->site))
      return record(lane, fmt::format("does not come to {}, where thread {} of its SIMD group waits",
                                      describe(first->site), first->indices.thread_index_in_threadgroup));
    if (lane.history != first->history)
      return record(lane, fmt::format("comes to {} by other SIMD group operations than thread {}",
                                      describe(first->site), first->indices.thread_index_in_threadgroup));
  }
  for (Lane& lane : simd_group) lane.state = Lane::State::kReady;
}

void Dispatch::pass_barrier() {
  const std::span<Lane> lanes(lanes_.data(), n_threads_);
  const auto first = std::find_if(lanes.begin(), lanes.end(), is_not_done);
  for (const Lane& lane : lanes)
    if (!is_not_done(lane) || !same_place(lane.site, first->site))
      return record(lane, fmt::format("does not come to the barrier at {}, where thread {} waits",
                                      describe(first->site), first->indices.thread_index_in_threadgroup));
  for (Lane& lane : lanes) {
    lane.state = Lane::State::kReady;
    ++lane.accessor.epoch.group;
  }
}

void Dispatch::record(const Lane& lane, const std::string& message) {
  const Index3& group = lane.indices.threadgroup_position_in_grid;
  error_ = make_error(ErrorCode::kInternal, "thread {} of threadgroup ({}, {}, {}) {}",
                      lane.indices.thread_index_in_threadgroup, group.x, group.y, group.z, message);
}

void Dispatch::fault(std::string message) {
  record(lane(), message);
  std::string().swap(message);  // this stack is never unwound
  fibers_.suspend();
  check_failed(__FILE__, __LINE__, "a thread at fault is not resumed");
}

void Dispatch::look_again(const char* message) {
  lane().state = Lane::State::kLooking;
  lane().looks_for = message;
  fibers_.suspend();
}

void Dispatch::wait(Lane::State state, const Site& site) {
  has_progress_ = true;
  lane().state = state;
  lane().site = site;
  fibers_.suspend();
}

const std::byte* Dispatch::exchange(const void* value, size_t bytes, const Site& site) {
  Slots& slots = slots_[current_ / kSimdWidth];
  const uint32_t parity = lane().n_exchanges++ % 2;
  if (bytes > 0) std::memcpy(slots.bytes[parity][current_ % kSimdWidth], value, bytes);
  wait(Lane::State::kExchanging, site);
  return slots.bytes[parity][0];
}

const Region* Dispatch::shared_array(uint32_t index, std::string_view name, size_t bytes) {
  constexpr size_t kAlignment = 16;
  while (shared_.size() <= index) shared_.emplace_back();
  SharedArray& array = shared_[index];
  if (array.bytes == nullptr) {
    array.bytes = std::make_unique<std::byte[]>(bytes);
    CHECK(reinterpret_cast<uintptr_t>(array.bytes.get()) % kAlignment == 0);
    array.region = Region(name, array.bytes.get(), bytes, Recording::kThreadgroup);
  }
  return &array.region;
}

}  // namespace

uint32_t Grid::groups(int axis) const {
  const uint32_t size = std::max(1u, std::min(threadgroup[axis], threads[axis]));
  return (threads[axis] + size - 1) / size;
}

std::vector<GroupPosition> all_groups(const Grid& grid) {
  std::vector<GroupPosition> groups;
  for (uint32_t z = 0; z < grid.groups(2); ++z)
    for (uint32_t y = 0; y < grid.groups(1); ++y)
      for (uint32_t x = 0; x < grid.groups(0); ++x) groups.push_back({x, y, z});
  return groups;
}

Status dispatch(const Grid& grid, const std::vector<GroupPosition>& groups, const std::function<void()>& kernel) {
  if (groups.empty()) return {};
  Dispatch dispatch(grid, kernel);
  return dispatch.run(groups);
}

void fault(std::string message) { active->fault(std::move(message)); }
Accessor current_accessor() { return active->lane().accessor; }
const ThreadIndices& this_thread() { return active->lane().indices; }
void wait_for_threadgroup(const Site& site) { active->wait(Lane::State::kAtBarrier, site); }
const std::byte* exchange_bytes(const void* value, size_t bytes, const Site& site) {
  return active->exchange(value, bytes, site);
}
void let_others_run(const char* message) { active->look_again(message); }
void note_progress() { active->note_progress(); }
uint32_t simd_group_size() { return active->simd_group_size(); }
void wait_for_simd_group(const Site& site) {
  exchange_bytes(nullptr, 0, site);
  ++active->lane().accessor.epoch.simd;
}
void note_simd_operation(const Site& site) {
  uint64_t& history = active->lane().history;
  history = history * 0x9e3779b97f4a7c15u + site.line + 1;
}
const Region* threadgroup_region(uint32_t index, std::string_view name, size_t bytes) {
  return active->shared_array(index, name, bytes);
}

}  // namespace tessera::kernels::emulator
