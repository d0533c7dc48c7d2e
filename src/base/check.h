// CHECK: a broken invariant of our own, on in release builds too. No input may reach one; the fuzzers prove it.
// DCHECK is for inner loops and vanishes in release builds.
#pragma once

namespace tessera {
[[noreturn]] void check_failed(const char* file, int line, const char* condition);
}

#define CHECK(condition) \
  (__builtin_expect(!(condition), 0) ? ::tessera::check_failed(__FILE__, __LINE__, #condition) : (void)0)

#ifdef NDEBUG
#define DCHECK(condition) ((void)0)
#else
#define DCHECK(condition) CHECK(condition)
#endif
