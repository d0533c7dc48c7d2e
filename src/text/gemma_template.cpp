// Follows the template revision of July 2026: null is `null`, reasoning after the last user message is kept, an
// assistant message that follows another one continues its turn.
#include "text/gemma_template.h"

#include "text/gemma_dict.h"
#include "text/markers.h"
#include "text/tool_declaration.h"
#include "text/unicode.h"
#include "text/utf8.h"

namespace tessera::text {
namespace {

// Jinja's trim is Python's str.strip: Unicode white space and the four ASCII separators.
bool is_strippable(uint32_t c) { return class_of(c) == CharClass::kSpace || (c >= 0x1c && c <= 0x1f); }

std::string_view trim(std::string_view text) {
  while (!text.empty()) {
    const Utf8Char c = next_char(text);
    if (!is_strippable(c.code_point)) break;
    text.remove_prefix(c.size);
  }
  while (!text.empty()) {
    size_t begin = text.size() - 1;
    while (begin > 0 && text.size() - begin < 4 && (text[begin] & 0xc0) == 0x80) --begin;
    const Utf8Char c = next_char(text.substr(begin));
    if (c.size != text.size() - begin || !is_strippable(c.code_point)) break;
    text.remove_suffix(c.size);
  }
  return text;
}

// An assistant's content without the channels that may still stand in it: everything between <|channel> and <channel|>,
// and a closing mark on its own.
std::string strip_channels(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t close = text.find(kChannelClose);
    const std::string_view part = text.substr(0, close);
    out += part.substr(0, part.find(kChannelOpen));
    text.remove_prefix(close == std::string_view::npos ? text.size() : close + kChannelClose.size());
  }
  return std::string(trim(out));
}

class Renderer {
 public:
  Renderer(const ChatTemplate& chat_template, std::span<const Message> messages, const RenderOptions& options)
      : template_(chat_template), messages_(messages), options_(options) {}

  Result<std::string> render() {
    out_ += kBos;
    TRY(system_turn());
    for (size_t i = 0; i < messages_.size(); ++i) {
      if (messages_[i].role == Role::kUser) last_user_ = static_cast<ptrdiff_t>(i);
    }
    for (size_t i = 0; i < messages_.size();) i = TRY(message(i));
    if (options_.add_generation_prompt) generation_prompt();
    return std::move(out_);
  }

 private:
  enum class Last { kTurn, kToolCall, kToolResponse };

  // Takes the first message if it is a system message; then indices count from the one after it.
  Status system_turn() {
    const bool has_text = !messages_.empty() && messages_[0].role == Role::kSystem;
    if (!options_.thinking && options_.tools.empty() && !has_text) return {};
    out_.append(kTurnOpen).append("system\n");
    if (options_.thinking) out_.append(kThink).append("\n");
    if (has_text) {
      out_ += trim(messages_[0].content);
      messages_ = messages_.subspan(1);
    }
    for (const nlohmann::json& tool : options_.tools) {
      out_ += kToolOpen;
      TRY(append_tool_declaration(out_, tool));
      out_ += kToolClose;
    }
    out_.append(kTurnClose).append("\n");
    return {};
  }

  // Renders message `i` and the tool answers that belong to it; returns the index of the next one.
  Result<size_t> message(size_t i) {
    const Message& message = messages_[i];
    if (message.role == Role::kTool) {
      return invalid_argument("message {}: a tool's answer must follow the assistant message that called it", i);
    }
    const bool is_model = message.role == Role::kAssistant;
    if (!(is_model && previous_is_model_)) {
      out_.append(kTurnOpen).append(is_model ? "model" : name_of(message.role)).append("\n");
    }
    last_ = Last::kTurn;
    size_t next = i + 1;
    bool has_responses = false;
    if (is_model) {
      reasoning(i);
      for (const ToolCall& call : message.tool_calls) TRY(tool_call(call));
      if (!message.tool_calls.empty()) {
        while (next < messages_.size() && messages_[next].role == Role::kTool)
          tool_response(message, messages_[next++]);
      }
      has_responses = next > i + 1;
    }
    const std::string content = is_model ? strip_channels(message.content) : std::string(trim(message.content));
    out_ += content;
    close_turn(message, has_responses, !content.empty(), next);
    previous_is_model_ = is_model;
    return next;
  }

  void reasoning(size_t i) {
    const Message& message = messages_[i];
    const bool is_kept =
        static_cast<ptrdiff_t>(i) > last_user_ || (options_.preserve_thinking && !message.tool_calls.empty());
    if (!message.reasoning.empty() && is_kept) {
      out_.append(kThoughtOpen).append(message.reasoning).append("\n").append(kChannelClose);
    }
  }

  Status tool_call(const ToolCall& call) {
    if (!call.arguments.is_object()) {
      return invalid_argument("tool call {}: arguments are not a JSON object", call.name);
    }
    out_.append(kCallOpen).append("call:").append(call.name);
    append_gemma_value(out_, call.arguments);
    out_ += kCallClose;
    last_ = Last::kToolCall;
    return {};
  }

  // A plain answer is a string even if it looks like JSON.
  void tool_response(const Message& caller, const Message& answer) {
    std::string_view name = answer.name.empty() ? std::string_view("unknown") : std::string_view(answer.name);
    for (const ToolCall& call : caller.tool_calls) {
      if (!call.id.empty() && call.id == answer.tool_call_id) name = call.name;
    }
    out_.append(kResponseOpen).append("response:").append(name);
    if (answer.response.is_object()) {
      append_gemma_value(out_, answer.response);
    } else {
      append_gemma_string(out_.append("{value:"), answer.content);
      out_ += '}';
    }
    out_ += kResponseClose;
    last_ = Last::kToolResponse;
  }

  void close_turn(const Message& message, bool has_responses, bool has_content, size_t next) {
    const bool is_model = message.role == Role::kAssistant;
    if (!message.tool_calls.empty() && is_model && !has_responses) {
      out_ += kResponseOpen;  // the model waits for the answer
      return;
    }
    const bool is_last = next == messages_.size();
    if (is_model && !is_last && messages_[next].role == Role::kAssistant) return;  // goes on in the same turn
    if (has_responses && !has_content && is_last) return;                          // so does what will be generated
    out_.append(kTurnClose).append("\n");
  }

  void generation_prompt() {
    if (last_ == Last::kToolCall) return;
    // After a tool's answer the model goes on in its turn, unless content has closed it.
    if (last_ == Last::kToolResponse && !out_.ends_with("<turn|>\n")) {
      if (options_.thinking) out_ += kThoughtOpen;
      return;
    }
    out_.append(kTurnOpen).append("model\n");
    if (template_.empty_thought_channel && !options_.thinking) out_.append(kThoughtOpen).append(kChannelClose);
  }

  const ChatTemplate& template_;
  std::span<const Message> messages_;
  const RenderOptions& options_;
  std::string out_;
  ptrdiff_t last_user_ = -1;
  bool previous_is_model_ = false;
  Last last_ = Last::kTurn;
};

}  // namespace

Result<std::string> render_gemma4(const ChatTemplate& chat_template, std::span<const Message> messages,
                                  const RenderOptions& options) {
  return Renderer(chat_template, messages, options).render();
}

}  // namespace tessera::text
