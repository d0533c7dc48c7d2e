// Puts a stream of bytes together into whole UTF-8 characters: what is shown is never half a character, and no byte is
// lost. Bytes that cannot become part of a character (invalid UTF-8) pass through at once, unchanged.
#pragma once

#include <string>
#include <string_view>

namespace tessera::text {

class Utf8Stream {
 public:
  // Everything up to the last whole character; a character still incomplete at the end is held back (3 bytes at most).
  std::string push(std::string_view bytes);
  // What is still held back, incomplete as it is: the end of the stream.
  std::string flush();

 private:
  std::string pending_;
};

}  // namespace tessera::text
