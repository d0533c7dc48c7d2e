// Input: a byte of options, then texts separated by zero bytes: the template, three contents, a tool as JSON, and what
// a model wrote.
#include <array>

#include "base/check.h"
#include "text/model_output.h"

namespace {

using namespace tessera;
using namespace tessera::text;

void check_output(const ChatTemplate& chat_template, std::string_view text, bool in_reasoning) {
  const auto output = parse_output(chat_template, text, in_reasoning);
  if (!output) return;
  // Arguments are clean enough for a JSON library that insists on UTF-8.
  for (const ToolCall& call : output->tool_calls) {
    CHECK(nlohmann::json::parse(call.arguments.dump(), nullptr, false) == call.arguments);
  }
  // And a renderer accepts them again.
  Message message{.role = Role::kAssistant, .content = output->content};
  message.reasoning = output->reasoning;
  message.tool_calls = output->tool_calls;
  CHECK(render(chat_template, std::array{message}).has_value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const uint8_t options = data[0];
  std::string_view rest(reinterpret_cast<const char*>(data + 1), size - 1);
  std::array<std::string_view, 6> parts;
  for (std::string_view& part : parts) {
    part = rest.substr(0, rest.find('\0'));
    rest.remove_prefix(std::min(rest.size(), part.size() + 1));
  }
  const auto recognised = ChatTemplate::recognise(parts[0]);
  const ChatTemplate chat_template = recognised ? *recognised : ChatTemplate{ChatTemplate::Kind::kGemma4, true};

  std::vector<Message> messages(3);
  for (size_t i = 0; i < messages.size(); ++i) {
    messages[i].role = static_cast<Role>((options >> (2 * i)) & 3);
    messages[i].content = parts[i + 1];
  }
  const nlohmann::json tool = nlohmann::json::parse(parts[4], nullptr, false);
  messages[1].tool_calls = {{"id", "f", tool}};
  messages[2].tool_call_id = "id";
  const std::vector<nlohmann::json> tools(options >> 7, tool);
  (void)render(chat_template, messages, {.thinking = (options & 64) != 0, .tools = tools});
  check_output(chat_template, parts[5], (options & 64) != 0);
  return 0;
}
