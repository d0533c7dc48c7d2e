// The one line that describes a wire table to everything generic (codec, printer, def-use): its name and its fields, in
// wire order. A field's id is its position, except that a std::variant - a flatbuffer union - takes two ids.
// with_fields(f) calls f with all of them. A tuple of references would do as well, but every source that sees the
// tables would instantiate 134 of them.
#pragma once

#include <cstddef>
#include <string_view>

#define TESSERA_FIELDS(Name, ...)                               \
  static constexpr std::string_view kName = #Name;              \
  static constexpr std::string_view kFieldNames = #__VA_ARGS__; \
  template <typename F>                                         \
  void with_fields(F&& f) {                                     \
    f(__VA_ARGS__);                                             \
  }                                                             \
  template <typename F>                                         \
  void with_fields(F&& f) const {                               \
    f(__VA_ARGS__);                                             \
  }

namespace tessera::program {

// The `index`-th name of a list like "x, out, axis".
constexpr std::string_view field_name(std::string_view names, size_t index) {
  for (; index > 0; --index) names.remove_prefix(names.find(", ") + 2);
  return names.substr(0, names.find(", "));
}

}  // namespace tessera::program
