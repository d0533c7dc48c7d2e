#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace tessera {
void check_failed(const char* file, int line, const char* condition) {
  std::fprintf(stderr, "tessera: bug: %s:%d: check failed: %s\n", file, line, condition);
  std::abort();
}
}  // namespace tessera
