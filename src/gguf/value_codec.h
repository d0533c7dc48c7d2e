// Values as bytes, both ways (gguf/layout.h draws them).
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

#include "base/byte_reader.h"
#include "base/result.h"
#include "gguf/value.h"

namespace tessera::gguf {

// A string of at most `max_bytes`, borrowed from the reader's bytes.
Result<std::string_view> read_string(ByteReader& in, uint64_t max_bytes, std::string_view what);

// A type code and its value. `what` names the value in messages; `owner` keeps the reader's bytes, which arrays of
// strings borrow.
Result<Value> read_value(ByteReader& in, std::string_view what, const std::shared_ptr<const void>& owner);

void append_bytes(std::vector<std::byte>& out, const void* data, size_t size);
void append_string(std::vector<std::byte>& out, std::string_view text);
// A type code and its value. Errors: arrays nested deeper than a reader accepts.
Status append_value(std::vector<std::byte>& out, const Value& value);

}  // namespace tessera::gguf
