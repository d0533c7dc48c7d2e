// GGUF bytes written by hand for tests: valid by default, wrong exactly where a test wants them to be.
#pragma once

#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gguf/file.h"
#include "gguf/layout.h"
#include "quant/format.h"
#include "test_util.h"

namespace tessera::testing {

// Appends little-endian fields.
class GgufBytes {
 public:
  template <typename T>
  requires std::is_arithmetic_v<T> GgufBytes& put(T value) {
    const auto* raw = reinterpret_cast<const std::byte*>(&value);
    bytes.insert(bytes.end(), raw, raw + sizeof(T));
    return *this;
  }
  GgufBytes& text(std::string_view s) {
    put<uint64_t>(s.size());
    for (const char c : s) bytes.push_back(static_cast<std::byte>(c));
    return *this;
  }
  GgufBytes& header(uint64_t n_tensors, uint64_t n_entries, uint32_t version = 3) {
    return put(gguf::kMagic).put(version).put(n_tensors).put(n_entries);
  }
  GgufBytes& key(std::string_view name, gguf::ValueType type) { return text(name).put(static_cast<uint32_t>(type)); }
  GgufBytes& tensor(std::string_view name, const std::vector<int64_t>& dims, uint32_t type, uint64_t offset) {
    text(name).put(static_cast<uint32_t>(dims.size()));
    for (const int64_t dim : dims) put(dim);
    return put(type).put(offset);
  }
  // Zeros up to the data section and `size` bytes of data.
  GgufBytes& data(size_t size, size_t alignment = 32) {
    bytes.resize((bytes.size() + alignment - 1) / alignment * alignment + size);
    return *this;
  }

  std::vector<std::byte> bytes;
};

// Parses an exact-size heap copy, so that a sanitizer sees any read past the end.
inline Result<std::shared_ptr<const gguf::File>> parse_gguf(std::span<const std::byte> bytes) {
  auto copy = std::shared_ptr<std::byte[]>(new std::byte[bytes.size()]);
  if (!bytes.empty()) std::memcpy(copy.get(), bytes.data(), bytes.size());
  return gguf::File::from_bytes({copy.get(), bytes.size()}, "test.gguf", copy);
}

// The message of a failed parse; "opened" if it did not fail.
inline std::string parse_error(const GgufBytes& file) {
  const auto result = parse_gguf(file.bytes);
  return result ? "opened" : result.error().message;
}

inline std::vector<std::byte> file_bytes(const std::string& path) {
  const std::vector<char> chars = read_file(path);
  std::vector<std::byte> out(chars.size());
  std::memcpy(out.data(), chars.data(), chars.size());
  return out;
}

inline ::testing::AssertionResult contains(const std::string& message, std::string_view part) {
  if (message.find(part) != std::string::npos) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "\"" << message << "\" does not say \"" << part << "\"";
}

}  // namespace tessera::testing
