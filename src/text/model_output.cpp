#include "text/model_output.h"

#include <algorithm>
#include <array>
#include <utility>

#include "text/ascii.h"
#include "text/gemma_dict.h"
#include "text/markers.h"

namespace tessera::text {
namespace {

void append_paragraph(std::string& out, std::string_view text) {
  text = trim_ascii(text);
  if (text.empty()) return;
  if (!out.empty()) out += '\n';
  out += text;
}

class OutputParser {
 public:
  explicit OutputParser(std::string_view text) : rest_(text) {}

  Result<ModelOutput> parse(bool starts_in_reasoning) {
    if (starts_in_reasoning) append_paragraph(out_.reasoning, take_channel());
    while (!rest_.empty()) {
      const auto [at, marker] = next_marker();
      out_.content += rest_.substr(0, at);
      rest_.remove_prefix(at + marker.size());
      if (marker == kChannelOpen) channel();
      if (marker == kCallOpen) TRY(tool_call());
    }
    out_.content = std::string(trim_ascii(out_.content));
    return std::move(out_);
  }

 private:
  // Where the next marker stands, and which; the end of the text and "" if there is none.
  std::pair<size_t, std::string_view> next_marker() const {
    constexpr std::array kMarkers = {kChannelOpen, kChannelClose, kCallOpen, kCallClose, kResponseOpen, kTurnClose};
    for (size_t at = rest_.find('<'); at != std::string_view::npos; at = rest_.find('<', at + 1)) {
      for (std::string_view marker : kMarkers) {
        if (rest_.substr(at).starts_with(marker)) return {at, marker};
      }
    }
    return {rest_.size(), {}};
  }

  // What stands before the closing mark, or everything if there is none.
  std::string_view take_channel() {
    const size_t close = rest_.find(kChannelClose);
    const std::string_view body = rest_.substr(0, close);
    rest_.remove_prefix(close == std::string_view::npos ? rest_.size() : close + kChannelClose.size());
    return body;
  }

  // "thought" is reasoning; any other name is not known to exist, so its text is shown rather than lost.
  void channel() {
    constexpr std::string_view kThought = "thought";
    std::string_view body = take_channel();
    if (trim_ascii(body).starts_with(kThought)) {
      body.remove_prefix(body.find(kThought) + kThought.size());
      append_paragraph(out_.reasoning, body);
    } else {
      out_.content += body;
    }
  }

  // call:NAME{...}<tool_call|>; the closing mark may be missing at the end of the text.
  Status tool_call() {
    constexpr std::string_view kCall = "call:";
    const std::string_view whole = rest_.substr(0, 64);
    const size_t begin = std::min(rest_.find_first_not_of(kAsciiSpace), rest_.size());
    rest_.remove_prefix(begin);
    const size_t brace = rest_.find('{');
    if (!rest_.starts_with(kCall) || brace == std::string_view::npos) {
      return invalid_format("tool call: expected \"call:NAME{{...}}\", found \"{}\"", whole);
    }
    ToolCall call;
    call.name = std::string(trim_ascii(rest_.substr(kCall.size(), brace - kCall.size())));
    if (call.name.empty() || call.name.find('<') != std::string::npos) {
      return invalid_format("tool call: no function name in \"{}\"", whole);
    }
    rest_.remove_prefix(brace);
    call.arguments = TRY(take_gemma_object(rest_));
    out_.tool_calls.push_back(std::move(call));
    return {};
  }

  std::string_view rest_;
  ModelOutput out_;
};

}  // namespace

Result<ModelOutput> parse_output(const ChatTemplate& chat_template, std::string_view text, bool starts_in_reasoning) {
  if (chat_template.kind == ChatTemplate::Kind::kPlain)
    return ModelOutput{.reasoning = {}, .content = std::string(text), .tool_calls = {}};
  return OutputParser(text).parse(starts_in_reasoning);
}

bool ends_in_reasoning(const ChatTemplate& chat_template, std::string_view prompt) {
  return chat_template.kind == ChatTemplate::Kind::kGemma4 && prompt.ends_with(kThoughtOpen);
}

}  // namespace tessera::text
