// Conversations as prompts: a native renderer of the Gemma 4 chat format (its latest published revision), chosen by
// looking for the format's markers in the template text that came with the model. No Jinja interpreter: a template that
// is not recognised is an error that says what is supported, and a model without a template gets plain text.
//
// What the model writes back is taken apart by text/model_output.h.
#pragma once

#include <nlohmann/json.hpp>

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tessera::text {

enum class Role { kSystem, kUser, kAssistant, kTool };
std::string_view name_of(Role role);
// "system" or "developer", "user", "assistant" or "model", "tool".
Result<Role> parse_role(std::string_view name);

struct ToolCall {
  std::string id;  // matches a tool message's tool_call_id; may be empty
  std::string name;
  nlohmann::json arguments = nlohmann::json::object();
};

struct Message {
  Role role = Role::kUser;
  std::string content;
  std::string reasoning;             // assistant: what it thought before answering
  std::vector<ToolCall> tool_calls;  // assistant
  std::string tool_call_id;          // tool: which call it answers
  std::string name;                  // tool: the function, if tool_call_id does not tell
  nlohmann::json response;           // tool: a JSON object in place of `content`
};

struct RenderOptions {
  bool add_generation_prompt = true;
  bool thinking = false;
  bool preserve_thinking = false;  // keep the reasoning of tool calls before the last user message as well
  // Declarations: {"name", "description", "parameters": JSON schema}, bare or inside {"type": "function", "function"}.
  std::span<const nlohmann::json> tools = {};
};

struct ChatTemplate {
  enum class Kind {
    kPlain,   // no template: contents, a newline between two
    kGemma4,  // <|turn>role ... <turn|>
  };
  Kind kind = Kind::kPlain;
  // Gemma 4: with thinking off, the generation prompt opens and closes an empty thought channel (31B, 26B, 12B; not
  // E2B, E4B).
  bool empty_thought_channel = false;

  static Result<ChatTemplate> recognise(std::string_view template_text);
};

// The prompt. Encode it with parse_special; add_bos does no harm, because the tokenizer never doubles a bos.
//
// Whatever markers the contents hold become special tokens as well: contents that are not trusted go through
// Tokenizer::defuse() first.
Result<std::string> render(const ChatTemplate& chat_template, std::span<const Message> messages,
                           const RenderOptions& options = {});

}  // namespace tessera::text
