#include "text/chat_template.h"

#include "text/gemma_template.h"
#include "text/markers.h"

namespace tessera::text {

std::string_view name_of(Role role) {
  switch (role) {
    case Role::kSystem:
      return "system";
    case Role::kUser:
      return "user";
    case Role::kAssistant:
      return "assistant";
    case Role::kTool:
      return "tool";
  }
  return "?";
}

Result<Role> parse_role(std::string_view name) {
  if (name == "system" || name == "developer") return Role::kSystem;
  if (name == "user") return Role::kUser;
  if (name == "assistant" || name == "model") return Role::kAssistant;
  if (name == "tool") return Role::kTool;
  return invalid_argument("role \"{}\"; expected system, developer, user, assistant or tool", name);
}

Result<ChatTemplate> ChatTemplate::recognise(std::string_view template_text) {
  ChatTemplate out;
  if (template_text.empty()) return out;
  if (template_text.find(kTurnOpen) == std::string_view::npos ||
      template_text.find(kTurnClose) == std::string_view::npos) {
    return not_implemented(
        "the model's chat template is not one Tessera renders; supported: Gemma 4 (<|turn>role ... <turn|>), and "
        "models "
        "without a template");
  }
  out.kind = Kind::kGemma4;
  // The templates of the larger models end their generation prompt with an empty thought channel. In Jinja source the
  // newline in it is an escape; be content with a real one too.
  const size_t prompt = template_text.rfind("add_generation_prompt");
  if (prompt != std::string_view::npos) {
    const std::string_view tail = template_text.substr(prompt);
    out.empty_thought_channel = tail.find("<|channel>thought\\n<channel|>") != std::string_view::npos ||
                                tail.find("<|channel>thought\n<channel|>") != std::string_view::npos;
  }
  return out;
}

Result<std::string> render(const ChatTemplate& chat_template, std::span<const Message> messages,
                           const RenderOptions& options) {
  if (chat_template.kind == ChatTemplate::Kind::kGemma4) return render_gemma4(chat_template, messages, options);
  if (!options.tools.empty() || options.thinking) {
    return not_implemented("tools and thinking need a chat template, and the model has none");
  }
  std::string prompt;
  for (const Message& message : messages) {
    if (!prompt.empty()) prompt += '\n';
    prompt += message.content;
  }
  return prompt;
}

}  // namespace tessera::text
