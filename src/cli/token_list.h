// Lists of token ids as users write them: separated by spaces, commas or newlines.
#pragma once

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cli/command.h"

namespace tessera::cli {

inline std::vector<int32_t> parse_tokens(std::string_view text, std::string_view where) {
  std::vector<int32_t> out;
  const auto is_separator = [](char c) { return c == ' ' || c == ',' || c == '\n' || c == '\r' || c == '\t'; };
  for (size_t i = 0; i < text.size();) {
    if (is_separator(text[i])) {
      ++i;
      continue;
    }
    int32_t id = 0;
    const auto [end, error] = std::from_chars(text.data() + i, text.data() + text.size(), id);
    const auto next = static_cast<size_t>(end - text.data());
    if (error != std::errc() || (next < text.size() && !is_separator(text[next])))
      throw Failure{fmt::format("{}: expected token ids, found '{}'", where, text.substr(i, 16))};
    out.push_back(id);
    i = next;
  }
  return out;
}

}  // namespace tessera::cli
