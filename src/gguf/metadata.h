// The key/value section of a GGUF file: ordered as in the file, looked up by key.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gguf/value.h"

namespace tessera::gguf {

class Metadata {
 public:
  struct Entry {
    std::string key;
    Value value;
  };

  Metadata() = default;
  // `source` (a file name) opens every message.
  explicit Metadata(std::string source) : source_(std::move(source)) {}

  std::span<const Entry> entries() const { return entries_; }
  const Value* find(std::string_view key) const;  // nullptr: absent
  bool contains(std::string_view key) const { return find(key) != nullptr; }

  // Without a fallback an absent key is kNotFound; a value that does not convert is kInvalidFormat in both forms.
  Result<uint64_t> get_u64(std::string_view key) const;
  Result<uint64_t> get_u64(std::string_view key, uint64_t fallback) const;
  Result<int64_t> get_i64(std::string_view key) const;
  Result<int64_t> get_i64(std::string_view key, int64_t fallback) const;
  Result<float> get_f32(std::string_view key) const;
  Result<float> get_f32(std::string_view key, float fallback) const;
  Result<bool> get_bool(std::string_view key) const;
  Result<bool> get_bool(std::string_view key, bool fallback) const;
  Result<std::string_view> get_string(std::string_view key) const;
  Result<std::string_view> get_string(std::string_view key, std::string_view fallback) const;
  Result<std::vector<int64_t>> get_int_array(std::string_view key) const;
  Result<std::vector<float>> get_f32_array(std::string_view key) const;
  Result<std::vector<bool>> get_bool_array(std::string_view key) const;
  Result<std::span<const std::string_view>> get_string_array(std::string_view key) const;  // borrowed from the value

  // Appends, or replaces the value in place when the key exists.
  void set(std::string_view key, Value value);
  void erase(std::string_view key);

 private:
  template <typename T>
  Result<T> get(std::string_view key, Result<T> (Value::*accessor)() const, const T* fallback) const;

  std::string source_ = "metadata";
  std::vector<Entry> entries_;
  std::map<std::string, size_t, std::less<>> index_;  // key -> position in entries_
};

}  // namespace tessera::gguf
