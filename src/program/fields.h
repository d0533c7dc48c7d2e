// The one line that describes a wire table to everything generic (codec, printer, def-use): its name and its fields, in
// wire order. A field's id is its position, except that a std::variant - a flatbuffer union - takes two ids.
#pragma once

#include <cstddef>
#include <string_view>
#include <tuple>

#define TESSERA_FIELDS(Name, ...)                               \
  static constexpr std::string_view kName = #Name;              \
  static constexpr std::string_view kFieldNames = #__VA_ARGS__; \
  auto fields() { return std::tie(__VA_ARGS__); }               \
  auto fields() const { return std::tie(__VA_ARGS__); }

namespace tessera::program {

// The `index`-th name of a list like "x, out, axis".
constexpr std::string_view field_name(std::string_view names, size_t index) {
  for (; index > 0; --index) names.remove_prefix(names.find(", ") + 2);
  return names.substr(0, names.find(", "));
}

template <typename T>
inline constexpr size_t kFieldCount = std::tuple_size_v<decltype(std::declval<T&>().fields())>;

}  // namespace tessera::program
