// What AddressSanitizer and ThreadSanitizer must be told when control moves to another stack; nothing in other builds.
#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define TESSERA_ASAN_FIBERS
#elif defined(__SANITIZE_THREAD__)
#define TESSERA_TSAN_FIBERS
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TESSERA_ASAN_FIBERS
#elif __has_feature(thread_sanitizer)
#define TESSERA_TSAN_FIBERS
#endif
#endif

#if defined(TESSERA_ASAN_FIBERS)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#elif defined(TESSERA_TSAN_FIBERS)
#include <sanitizer/tsan_interface.h>
#endif

namespace tessera::kernels::emulator {

#if defined(TESSERA_ASAN_FIBERS)

inline constexpr size_t kFiberStackBytes = 256 * 1024;  // instrumented frames are large

struct SanitizedStack {
  const void* bottom = nullptr;
  size_t bytes = 0;
  void* fake_stack = nullptr;

  void create(const void* stack, size_t n_bytes) {
    bottom = stack, bytes = n_bytes;
    __asan_unpoison_memory_region(stack, n_bytes);  // frames of a fiber that was abandoned, where its stack lay before
  }
  void adopt_current() {}
  void destroy() {}
  static void before_switch(SanitizedStack& from, SanitizedStack& to) {
    __sanitizer_start_switch_fiber(&from.fake_stack, to.bottom, to.bytes);
  }
  static void after_switch(SanitizedStack& from, SanitizedStack& to) {
    __sanitizer_finish_switch_fiber(to.fake_stack, &from.bottom, &from.bytes);
  }
};

#elif defined(TESSERA_TSAN_FIBERS)

inline constexpr size_t kFiberStackBytes = 256 * 1024;

struct SanitizedStack {
  void* fiber = nullptr;

  void create(const void*, size_t) { fiber = __tsan_create_fiber(0); }
  void adopt_current() { fiber = __tsan_get_current_fiber(); }
  void destroy() { __tsan_destroy_fiber(fiber); }
  static void before_switch(SanitizedStack&, SanitizedStack& to) { __tsan_switch_to_fiber(to.fiber, 0); }
  static void after_switch(SanitizedStack&, SanitizedStack&) {}
};

#else

inline constexpr size_t kFiberStackBytes = 64 * 1024;

struct SanitizedStack {
  void create(const void*, size_t) {}
  void adopt_current() {}
  void destroy() {}
  static void before_switch(SanitizedStack&, SanitizedStack&) {}
  static void after_switch(SanitizedStack&, SanitizedStack&) {}
};

#endif

}  // namespace tessera::kernels::emulator
