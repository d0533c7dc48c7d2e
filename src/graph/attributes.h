// Visits the attributes of an op with their names: f("factor", op.factor).
#pragma once

#include <string_view>
#include <tuple>

#include "graph/ops.h"

namespace tessera::graph {

// Takes the next name off a list such as "cache, scale".
inline std::string_view next_name(std::string_view& names) {
  const size_t comma = names.find(',');
  const std::string_view name = names.substr(0, comma);
  names.remove_prefix(comma == std::string_view::npos ? names.size() : comma + 1);
  while (!names.empty() && names.front() == ' ') names.remove_prefix(1);
  return name;
}

template <typename O, typename F>
void for_each_attribute(O&& op, F&& f) {
  std::string_view names = op.kAttributeNames;
  // The comma operator's operands are evaluated from left to right, as the names are listed.
  std::apply([&](auto&... attribute) { (f(next_name(names), attribute), ...); }, op.attributes());
}

}  // namespace tessera::graph
