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
  std::string name;                  // tool: the function that answers; found by tool_call_id if empty
  std::string tool_call_id;          // tool
};

struct RenderOptions {
  bool add_generation_prompt = true;
  bool thinking = false;
  // Declarations: {"name", "description", "parameters": JSON schema}, bare or inside {"type": "function", "function"}.
  std::span<const nlohmann::json> tools = {};
};

struct ChatTemplate {
  enum class Kind {
    kPlain,   // no template: contents one after the other
    kGemma4,  // <|turn>role ... <turn|>
  };
  Kind kind = Kind::kPlain;
  // Gemma 4: with thinking off, the generation prompt opens and closes an empty thought channel (31B, 26B, 12B; not
  // E2B, E4B).
  bool empty_thought_channel = false;

  static Result<ChatTemplate> recognise(std::string_view template_text);
};

// The prompt, beginning with "<bos>": encode it with parse_special and without add_bos.
//
// Markers inside message contents are user-defined or control tokens to the tokenizer. Contents that are not trusted go
// through sanitize() first.
Result<std::string> render(const ChatTemplate& chat_template, std::span<const Message> messages,
                           const RenderOptions& options = {});

// `content` without anything the tokenizer would read as a marker of the template: such markers lose their '<'.
std::string sanitize(const ChatTemplate& chat_template, std::string_view content);

}  // namespace tessera::text
