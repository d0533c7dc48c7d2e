// Reading a flatbuffer nobody vouches for. Every step - root, table, vtable, field, vector, string - is checked against
// the buffer before it is taken, so positions handed out here are safe to load from. Errors give the offset in the
// file. The typed layer on top is program/wire.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <unordered_map>

#include "base/result.h"
#include "program/slots.h"

namespace tessera::program::wire {

class Reader {
 public:
  // `file_offset` is where `buffer` starts in its file; `max_elements` bounds the length of any vector.
  Reader(std::span<const std::byte> buffer, uint64_t file_offset, uint64_t max_elements);

  struct Table {
    size_t pos, vtable;
    uint16_t table_bytes, vtable_bytes;
  };
  struct Vector {
    size_t pos, count;  // of the first element
  };

  Result<size_t> root();  // position of the root table
  Result<Table> table(size_t pos);
  // Position of an inline field of `size` bytes; 0 when the table does not have it.
  Result<size_t> field(const Table& table, size_t id, size_t size);
  // Where the offset stored at `pos` leads.
  Result<size_t> follow(size_t pos);
  Result<Vector> vector(size_t pos, size_t element_size);
  // One String per stored string: fields that share an offset share the String.
  Result<String> string(size_t pos);

  template <typename T>
  T load(size_t pos) const {
    T value;
    std::memcpy(&value, buffer_.data() + pos, sizeof(T));
    return value;
  }
  std::span<const std::byte> bytes(Vector v) const { return buffer_.subspan(v.pos, v.count); }

  template <typename... Args>
  Error error(size_t pos, fmt::format_string<Args...> format, Args&&... args) const {
    return invalid_format("offset {}: {}", file_offset_ + pos, fmt::format(format, std::forward<Args>(args)...));
  }

 private:
  Status require(size_t pos, size_t size, size_t alignment, const char* what) const;
  Status charge(size_t pos, size_t bytes);

  std::span<const std::byte> buffer_;
  uint64_t file_offset_, max_elements_;
  uint64_t tables_left_, bytes_left_;
  std::unordered_map<size_t, String> strings_;
};

}  // namespace tessera::program::wire
