// The words of Gemma 4's chat format. Each is one token.
#pragma once

#include <string_view>

namespace tessera::text {

inline constexpr std::string_view kBos = "<bos>";
inline constexpr std::string_view kTurnOpen = "<|turn>", kTurnClose = "<turn|>";
inline constexpr std::string_view kThink = "<|think|>";
inline constexpr std::string_view kChannelOpen = "<|channel>", kChannelClose = "<channel|>";
inline constexpr std::string_view kToolOpen = "<|tool>", kToolClose = "<tool|>";
inline constexpr std::string_view kCallOpen = "<|tool_call>", kCallClose = "<tool_call|>";
inline constexpr std::string_view kResponseOpen = "<|tool_response>", kResponseClose = "<tool_response|>";

// How reasoning begins: the open channel with its name.
inline constexpr std::string_view kThoughtOpen = "<|channel>thought\n";

}  // namespace tessera::text
