// How Gemma 4 is told of a tool: its JSON schema in the notation of text/gemma_dict.h.
#pragma once

#include <nlohmann/json.hpp>

#include <string>

#include "base/result.h"

namespace tessera::text {

// Appends `declaration:NAME{...}`. `tool`: {"name", "description", "parameters", "response"}, bare or as the "function"
// of an OpenAI tool object.
Status append_tool_declaration(std::string& out, const nlohmann::json& tool);

}  // namespace tessera::text
