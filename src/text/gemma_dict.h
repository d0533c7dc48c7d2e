// The value notation of Gemma 4's tool calls: strings between <|"|> marks without any escaping, bare keys in
// case-insensitive order, no spaces: {city:<|"|>Oslo<|"|>,n:3}.
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace tessera::text {

inline constexpr std::string_view kGemmaQuote = "<|\"|>";

// Members in the order the notation wants them.
std::vector<std::pair<std::string, const nlohmann::json*>> sorted_members(const nlohmann::json& object);

enum class GemmaKeys {
  kBare,    // in calls and responses
  kQuoted,  // inside declarations
};

void append_gemma_string(std::string& out, std::string_view text);
void append_gemma_value(std::string& out, const nlohmann::json& value, GemmaKeys keys = GemmaKeys::kBare);

// Reads one {..} from the front of `text` and removes it there. Nesting deeper than 64 is an error.
Result<nlohmann::json> take_gemma_object(std::string_view& text);

}  // namespace tessera::text
