#include "gguf/value.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <type_traits>
#include <utility>

namespace tessera::gguf {
namespace {

static_assert(std::variant_size_v<Value::Storage> == kValueTypeCount);
static_assert(std::variant_size_v<Array::Items> == kValueTypeCount);

template <typename T>
constexpr bool kIsInteger = std::is_integral_v<T> && !std::is_same_v<T, bool>;

Error wrong_type(std::string_view expected, ValueType found) {
  return invalid_format("expected {}, found {}", expected, name_of(found));
}

template <typename T>
std::string found_array(const T& value) {
  if (const Array* array = value.if_array()) return fmt::format("an array of {}", name_of(array->type()));
  return std::string(name_of(value.type()));
}

// The four conversions of a scalar; `type` is only for the message.

template <typename To, typename From>
Result<To> to_integer(const From& value, ValueType type) {
  if constexpr (kIsInteger<From>) {
    if (std::in_range<To>(value)) return static_cast<To>(value);
    return invalid_format("{} does not fit {}", value, std::is_signed_v<To> ? "a signed 64-bit integer" : "a count");
  } else {
    return wrong_type("an integer", type);
  }
}

template <typename To, typename From>
Result<To> to_float(const From& value, ValueType type) {
  if constexpr (kIsInteger<From> || std::is_floating_point_v<From>) {
    return static_cast<To>(value);
  } else {
    return wrong_type("a number", type);
  }
}

template <typename From>
Result<bool> to_bool(const From& value, ValueType type) {
  if constexpr (std::is_same_v<From, bool>) return value;
  if constexpr (kIsInteger<From>) {
    if (value == 0 || value == 1) return value == 1;
    return invalid_format("expected a bool, found {} {}", name_of(type), value);
  }
  return wrong_type("a bool", type);
}

// Every element of `array` through `convert(element, type) -> Result<To>`.
template <typename To, typename Convert>
Result<std::vector<To>> convert_array(const Value& value, std::string_view expected, Convert&& convert) {
  const Array* array = value.if_array();
  if (!array) return wrong_type(expected, value.type());
  return std::visit(
      [&](const auto& items) -> Result<std::vector<To>> {
        using Items = std::remove_cvref_t<decltype(items)>;
        if constexpr (std::is_same_v<Items, StringArray> || std::is_same_v<Items, std::vector<Array>>) {
          if (items.size() == 0) return std::vector<To>();
          return invalid_format("expected {}, found {}", expected, found_array(value));
        } else {
          std::vector<To> out;
          out.reserve(items.size());
          for (const typename Items::value_type item : items) out.push_back(TRY(convert(item, array->type())));
          return out;
        }
      },
      array->items);
}

std::string quoted(std::string_view text) {
  constexpr size_t kMaxShown = 72;
  std::string out = "\"";
  for (const char c : text.substr(0, kMaxShown)) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n')
      out += "\\n";
    else if (c == '"' || c == '\\')
      out += {'\\', c};
    else if (byte < 0x20 || byte == 0x7f)
      out += fmt::format("\\x{:02x}", byte);
    else
      out += c;
  }
  return out + (text.size() > kMaxShown ? "\"..." : "\"");
}

std::string array_to_string(const Array& array, size_t max_items);

template <typename T>
std::string scalar_to_string(const T& value, size_t max_items) {
  if constexpr (std::is_same_v<T, Array>)
    return array_to_string(value, max_items);
  else if constexpr (std::is_convertible_v<T, std::string_view>)
    return quoted(value);
  else
    return fmt::format("{}", value);
}

std::string array_to_string(const Array& array, size_t max_items) {
  const size_t n = array.size();
  std::string out = fmt::format("array of {} {}: [", n, name_of(array.type()));
  std::visit(
      [&](const auto& items) {
        for (size_t i = 0; i < std::min(n, max_items); ++i) {
          if (i > 0) out += ", ";
          if constexpr (std::is_same_v<std::remove_cvref_t<decltype(items)>, StringArray>) {
            out += quoted(items.items()[i]);
          } else {
            using Item = typename std::remove_cvref_t<decltype(items)>::value_type;
            out += scalar_to_string<Item>(items[i], max_items);
          }
        }
      },
      array.items);
  return out + (n > max_items ? ", ...]" : "]");
}

}  // namespace

std::string_view name_of(ValueType type) {
  static constexpr std::array<std::string_view, kValueTypeCount> kNames = {
      "u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "string", "array", "u64", "i64", "f64"};
  const auto code = static_cast<uint32_t>(type);
  return code < kValueTypeCount ? kNames[code] : "?";
}

StringArray::StringArray(std::vector<std::string> strings) {
  auto owned = std::make_shared<const std::vector<std::string>>(std::move(strings));
  items_.assign(owned->begin(), owned->end());
  owner_ = std::move(owned);
}

Result<uint64_t> Value::as_u64() const {
  return std::visit([&](const auto& v) { return to_integer<uint64_t>(v, type()); }, storage_);
}

Result<int64_t> Value::as_i64() const {
  return std::visit([&](const auto& v) { return to_integer<int64_t>(v, type()); }, storage_);
}

Result<float> Value::as_f32() const {
  return std::visit([&](const auto& v) { return to_float<float>(v, type()); }, storage_);
}

Result<bool> Value::as_bool() const {
  return std::visit([&](const auto& v) { return to_bool(v, type()); }, storage_);
}

Result<std::string_view> Value::as_string() const {
  if (const auto* text = std::get_if<std::string>(&storage_)) return std::string_view(*text);
  return wrong_type("a string", type());
}

Result<std::vector<int64_t>> Value::as_int_array() const {
  return convert_array<int64_t>(*this, "an array of integers",
                                [](auto item, ValueType type) { return to_integer<int64_t>(item, type); });
}

Result<std::vector<float>> Value::as_f32_array() const {
  return convert_array<float>(*this, "an array of numbers",
                              [](auto item, ValueType type) { return to_float<float>(item, type); });
}

Result<std::vector<bool>> Value::as_bool_array() const {
  return convert_array<bool>(*this, "an array of bools", [](auto item, ValueType type) { return to_bool(item, type); });
}

Result<std::span<const std::string_view>> Value::as_string_array() const {
  const Array* array = if_array();
  if (!array) return wrong_type("an array of strings", type());
  const auto* strings = std::get_if<StringArray>(&array->items);
  if (!strings) return invalid_format("expected an array of strings, found {}", found_array(*this));
  return strings->items();
}

std::string to_string(const Value& value, size_t max_items) {
  return std::visit([&](const auto& v) { return scalar_to_string(v, max_items); }, value.storage());
}

}  // namespace tessera::gguf
