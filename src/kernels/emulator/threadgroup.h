// What threads of a threadgroup do together: barriers, exchanges within a SIMD group, shared arrays. Every such call is
// a place where all of them must come: each call notes its line, and lanes that meet at different lines, or not at all,
// end the dispatch with a fault.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/emulator/memory.h"

namespace tessera::kernels::emulator {

// The line of a call, taken where Site::current() is a default argument. (clang 14 has no std::source_location.)
struct Site {
  const char* file = "";
  uint32_t line = 0;
  static constexpr Site current(const char* file = __builtin_FILE(), uint32_t line = __builtin_LINE()) {
    return {file, line};
  }
};
inline constexpr uint32_t kSimdWidth = 32;

struct Index3 {
  uint32_t x = 0, y = 0, z = 0;
};
// Where a thread is, in Metal's words; CUDA's are made of the same (kernels/cuda/emulator).
struct ThreadIndices {
  Index3 thread_position_in_grid, threadgroup_position_in_grid;
  uint32_t thread_index_in_threadgroup, simdgroup_index_in_threadgroup, thread_index_in_simdgroup;
};
const ThreadIndices& this_thread();

// All threads of the threadgroup have come here; what they wrote before is seen by all after.
void wait_for_threadgroup(const Site& site);

// Leaves `bytes` at `value` for the SIMD group and waits for it. The result holds every lane's bytes, kSlotBytes apart,
// until this lane's next exchange.
inline constexpr size_t kSlotBytes = 16;
const std::byte* exchange_bytes(const void* value, size_t bytes, const Site& site);
uint32_t simd_group_size();  // lanes of this SIMD group: less than kSimdWidth in the last one of an odd threadgroup

template <typename T>
class Exchanged {
 public:
  explicit Exchanged(const std::byte* slots) : slots_(slots) {}
  T operator[](uint32_t lane) const {
    T value;
    std::memcpy(&value, slots_ + lane * kSlotBytes, sizeof(T));
    return value;
  }

 private:
  const std::byte* slots_;
};
template <typename T>
Exchanged<T> exchange_values(const T& value, const Site& site) {
  static_assert(sizeof(T) <= kSlotBytes && std::is_trivially_copyable_v<T>);
  return Exchanged<T>(exchange_bytes(&value, sizeof(T), site));
}

// The same for one SIMD group.
void wait_for_simd_group(const Site& site);

// Lets other threads of the threadgroup run, for a thread that waits for what one of them does; it looks again
// afterwards. A fault with the message where none can go on. note_progress: something was done that a thread may wait
// for.
void let_others_run(const char* message);
void note_progress();

// Notes that this lane was here, without waiting: at the next exchange the whole SIMD group must have been.
void note_simd_operation(const Site& site);

// The memory of the `index`-th threadgroup array of the kernel: allocated by the first thread that declares it.
const Region* threadgroup_region(uint32_t index, std::string_view name, size_t bytes);

// `threadgroup T name[N]`
template <typename T, size_t N>
Pointer<Space::kThreadgroup, T> threadgroup_array(uint32_t index, std::string_view name) {
  return {threadgroup_region(index, name, N * sizeof(T)), 0};
}

}  // namespace tessera::kernels::emulator
