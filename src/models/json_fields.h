// Members of a JSON object read with their type checked; errors name the file and the member. For this room's sources
// only: the library's header stays out of everybody else's.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/mapped_file.h"
#include "base/result.h"

namespace tessera::models {

// Nothing where `value` is no integer, or one that 64 signed bits do not hold.
inline std::optional<int64_t> integer_of(const nlohmann::json& value) {
  if (!value.is_number_integer()) return std::nullopt;
  if (value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX) return std::nullopt;
  return value.get<int64_t>();
}

class JsonFields {
 public:
  JsonFields(const nlohmann::json& object, std::string where) : object_(object), where_(std::move(where)) {}

  const std::string& where() const { return where_; }
  // nullptr: absent or null, which configurations use for the same.
  const nlohmann::json* find(const char* key) const {
    const auto found = object_.find(key);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }
  bool has_null(const char* key) const { return object_.contains(key) && object_.at(key).is_null(); }

  Result<int64_t> integer(const char* key) const {
    const auto* value = find(key);
    if (!value) return missing(key);
    if (!value->is_number_integer()) return wrong(key, "an integer");
    const auto out = integer_of(*value);
    if (!out) return invalid_format("{}: \"{}\": {} does not fit 64 bits", where_, key, value->get<uint64_t>());
    return *out;
  }
  Result<int64_t> integer(const char* key, int64_t fallback) const {
    if (!find(key)) return fallback;
    return integer(key);
  }
  Result<double> number(const char* key) const {
    const auto* value = find(key);
    if (!value) return missing(key);
    if (!value->is_number()) return wrong(key, "a number");
    return value->get<double>();
  }
  Result<bool> boolean(const char* key, bool fallback) const {
    const auto* value = find(key);
    if (!value) return fallback;
    if (!value->is_boolean()) return wrong(key, "true or false");
    return value->get<bool>();
  }
  Result<std::string_view> text(const char* key) const {
    const auto* value = find(key);
    if (!value) return missing(key);
    if (!value->is_string()) return wrong(key, "a string");
    return std::string_view(value->get_ref<const std::string&>());
  }
  Result<JsonFields> object(const char* key) const {
    const auto* value = find(key);
    if (!value) return missing(key);
    if (!value->is_object()) return wrong(key, "an object");
    return JsonFields(*value, where_ + "." + key);
  }
  Result<const nlohmann::json*> array(const char* key) const {
    const auto* value = find(key);
    if (!value) return missing(key);
    if (!value->is_array()) return wrong(key, "an array");
    return value;
  }

  Error missing(const char* key) const {
    return make_error(ErrorCode::kNotFound, "{}: \"{}\" is not there", where_, key);
  }
  Error wrong(const char* key, std::string_view expected) const {
    return invalid_format("{}: \"{}\": expected {}, found {}", where_, key, expected, find(key)->type_name());
  }

 private:
  const nlohmann::json& object_;
  std::string where_;
};

// The object in the text of the file at `path`.
inline Result<nlohmann::json> parse_json_object(std::string_view text, const std::string& path) {
  nlohmann::json out = nlohmann::json::parse(text, nullptr, false);
  if (!out.is_object()) return invalid_format("{}: not a JSON object", path);
  return out;
}

inline Result<nlohmann::json> read_json_object(const std::string& path) {
  const auto file = TRY(MappedFile::open(path));
  return parse_json_object({reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size()}, path);
}

}  // namespace tessera::models
