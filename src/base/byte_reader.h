// A cursor over untrusted little-endian bytes. Every read is checked against what remains; an error names the source,
// the absolute offset, what was wanted and how much was left.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/result.h"

namespace tessera {

static_assert(std::endian::native == std::endian::little,
              "formats are read in place; big-endian hosts are not supported");

class ByteReader {
 public:
  ByteReader(std::span<const std::byte> bytes, std::string_view source) : bytes_(bytes), source_(source) {}

  size_t offset() const { return offset_; }
  size_t remaining() const { return bytes_.size() - offset_; }
  const std::string& source() const { return source_; }
  std::span<const std::byte> rest() const { return bytes_.subspan(offset_); }  // all that remains, not yet consumed

  template <typename T>
  requires std::is_trivially_copyable_v<T> Result<T> read(std::string_view what) {
    auto bytes = TRY(take(sizeof(T), what));
    T value;
    std::memcpy(&value, bytes.data(), sizeof(T));
    return value;
  }

  // The next `size` bytes, borrowed.
  Result<std::span<const std::byte>> take(size_t size, std::string_view what) {
    if (size > remaining()) {
      return invalid_format("{}: offset {}: {} needs {} bytes, {} left in the file", source_, offset_, what, size,
                            remaining());
    }
    auto out = bytes_.subspan(offset_, size);
    offset_ += size;
    return out;
  }

 private:
  std::span<const std::byte> bytes_;
  std::string source_;
  size_t offset_ = 0;
};

}  // namespace tessera
