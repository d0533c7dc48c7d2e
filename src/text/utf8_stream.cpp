#include "text/utf8_stream.h"

#include <utility>

#include "text/utf8.h"

namespace tessera::text {

std::string Utf8Stream::push(std::string_view bytes) {
  std::string out = std::move(pending_);
  out += bytes;
  const size_t whole = out.size() - incomplete_tail(out);
  pending_ = out.substr(whole);
  out.resize(whole);
  return out;
}

std::string Utf8Stream::flush() { return std::exchange(pending_, {}); }

}  // namespace tessera::text
