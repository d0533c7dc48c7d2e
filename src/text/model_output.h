// Takes apart what a Gemma 4 model writes: its reasoning, its answer, its tool calls. Feed it the decoded text with
// user-defined tokens shown (decode() shows them by default).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/chat_template.h"

namespace tessera::text {

struct ModelOutput {
  std::string reasoning;
  std::string content;
  std::vector<ToolCall> tool_calls;
};

// Stray empty channels and a stray closing `<channel|>` vanish; a channel that was never closed is reasoning to the end
// of the text. A damaged tool call is an error that quotes it. `starts_in_reasoning`: the prompt ended inside a thought
// channel (ends_in_reasoning() of the prompt).
Result<ModelOutput> parse_output(const ChatTemplate& chat_template, std::string_view text,
                                 bool starts_in_reasoning = false);
bool ends_in_reasoning(const ChatTemplate& chat_template, std::string_view prompt);

}  // namespace tessera::text
