#include "gguf/metadata.h"

namespace tessera::gguf {

const Value* Metadata::find(std::string_view key) const {
  const auto it = index_.find(key);
  return it == index_.end() ? nullptr : &entries_[it->second].value;
}

template <typename T>
Result<T> Metadata::get(std::string_view key, Result<T> (Value::*accessor)() const, const T* fallback) const {
  const Value* value = find(key);
  if (!value) {
    if (fallback) return *fallback;
    return make_error(ErrorCode::kNotFound, "{}: key '{}' is missing", source_, key);
  }
  auto result = (value->*accessor)();
  if (!result) return result.error().in(fmt::format("{}: key '{}'", source_, key));
  return result;
}

Result<uint64_t> Metadata::get_u64(std::string_view key) const { return get<uint64_t>(key, &Value::as_u64, nullptr); }
Result<uint64_t> Metadata::get_u64(std::string_view key, uint64_t fallback) const {
  return get(key, &Value::as_u64, &fallback);
}
Result<int64_t> Metadata::get_i64(std::string_view key) const { return get<int64_t>(key, &Value::as_i64, nullptr); }
Result<int64_t> Metadata::get_i64(std::string_view key, int64_t fallback) const {
  return get(key, &Value::as_i64, &fallback);
}
Result<float> Metadata::get_f32(std::string_view key) const { return get<float>(key, &Value::as_f32, nullptr); }
Result<float> Metadata::get_f32(std::string_view key, float fallback) const {
  return get(key, &Value::as_f32, &fallback);
}
Result<bool> Metadata::get_bool(std::string_view key) const { return get<bool>(key, &Value::as_bool, nullptr); }
Result<bool> Metadata::get_bool(std::string_view key, bool fallback) const {
  return get(key, &Value::as_bool, &fallback);
}
Result<std::string_view> Metadata::get_string(std::string_view key) const {
  return get<std::string_view>(key, &Value::as_string, nullptr);
}
Result<std::string_view> Metadata::get_string(std::string_view key, std::string_view fallback) const {
  return get(key, &Value::as_string, &fallback);
}
Result<std::vector<int64_t>> Metadata::get_int_array(std::string_view key) const {
  return get<std::vector<int64_t>>(key, &Value::as_int_array, nullptr);
}
Result<std::vector<float>> Metadata::get_f32_array(std::string_view key) const {
  return get<std::vector<float>>(key, &Value::as_f32_array, nullptr);
}
Result<std::vector<bool>> Metadata::get_bool_array(std::string_view key) const {
  return get<std::vector<bool>>(key, &Value::as_bool_array, nullptr);
}
Result<std::span<const std::string_view>> Metadata::get_string_array(std::string_view key) const {
  return get<std::span<const std::string_view>>(key, &Value::as_string_array, nullptr);
}

void Metadata::set(std::string_view key, Value value) {
  const auto [it, inserted] = index_.try_emplace(std::string(key), entries_.size());
  if (inserted)
    entries_.push_back({std::string(key), std::move(value)});
  else
    entries_[it->second].value = std::move(value);
}

void Metadata::erase(std::string_view key) {
  const auto it = index_.find(key);
  if (it == index_.end()) return;
  const size_t position = it->second;
  index_.erase(it);
  entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(position));
  for (auto& [name, i] : index_)
    if (i > position) --i;
}

}  // namespace tessera::gguf
