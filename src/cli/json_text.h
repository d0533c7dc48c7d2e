// JSON as the commands print it.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace tessera::cli {

// Names of files and tensors may be any bytes, JSON's text is UTF-8: what is not becomes U+FFFD.
inline std::string json_text(const nlohmann::json& value) {
  return value.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace tessera::cli
