// Barrier of kernels/cuda/words.cuh on the CPU. Who touches bytes that it hands over is not looked at; whoever reads
// them too early finds, in most orders of warps, what nobody wrote.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/cuda/emulator/words.h"

namespace tessera::kernels::cuda {

// Its eight bytes: how many arrivals complete a phase, how many are still to come, and how many phases are complete.
// Bulk copies come at once.
struct Barrier {
  struct State {
    uint16_t n, pending;
    uint32_t phase;
  };
  static_assert(sizeof(State) == sizeof(uint64_t));
  Shared<uint64_t> place;
  explicit Barrier(Shared<uint64_t> p) : place(p) {}
  State load() const {
    State state;
    std::memcpy(&state, place.region()->for_barrier(place.offset(), sizeof(state)), sizeof(state));
    return state;
  }
  void store(const State& state) const {
    std::memcpy(place.region()->for_barrier(place.offset(), sizeof(state)), &state, sizeof(state));
  }
  void init(int n) const { store({static_cast<uint16_t>(n), static_cast<uint16_t>(n), 0}); }
  void arrive() const {
    State state = load();
    if (--state.pending == 0) state.pending = state.n, ++state.phase;
    store(state);
    emulator::note_progress();
  }
  void wait(int use) const {
    while (load().phase <= static_cast<uint32_t>(use))
      emulator::let_others_run("waits at a barrier that is never complete");
  }
  static void fence_init() {}
  static void fence_writes() {}
  void expect(int) const {}
  void copy_for_once(Shared<uint8_t> to, Global<const uint8_t> from, int bytes) const {
    constexpr size_t kBulk = 16;  // sizes and addresses are multiples of it
    const auto n = static_cast<size_t>(bytes);
    if (n % kBulk != 0) emulator::fault("copies bytes that are no multiple of 16");
    const std::byte* source = from.region()->for_read(from.offset(), n, kBulk);
    std::memcpy(to.region()->for_handing_over(to.offset(), n, kBulk), source, n);
  }
};
template <typename T>
void store_for_others(const Shared<T>& p, std::type_identity_t<T> value) {
  std::memcpy(p.region()->for_handing_over(p.offset(), sizeof(T), alignof(T)), &value, sizeof(T));
}

}  // namespace tessera::kernels::cuda
