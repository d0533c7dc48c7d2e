#include "base/result.h"

#include <cstdio>
#include <cstdlib>

namespace tessera {

std::string_view name_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return "invalid argument";
    case ErrorCode::kInvalidFormat:
      return "invalid format";
    case ErrorCode::kNotFound:
      return "not found";
    case ErrorCode::kNotImplemented:
      return "not implemented";
    case ErrorCode::kOutOfRange:
      return "out of range";
    case ErrorCode::kOutOfMemory:
      return "out of memory";
    case ErrorCode::kIo:
      return "i/o";
    case ErrorCode::kInternal:
      return "internal";
  }
  return "unknown";
}

void result_misuse(const char* what) {
  std::fprintf(stderr, "tessera: bug: %s\n", what);
  std::abort();
}

}  // namespace tessera
