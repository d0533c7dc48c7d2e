#include "generate/generator.h"

#include <chrono>

#include "generate/stop.h"
#include "text/stream_decoder.h"

namespace tessera::generate {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// The text side of a generation: tokens become characters, characters pass the stop strings, the rest is shown.
class Output {
 public:
  Output(text::StreamDecoder decoder, const GenerateOptions& options, const TextCallback& on_text)
      : decoder_(std::move(decoder)), stops_(options.stop_strings), on_text_(on_text) {}

  // False: generation ends here; reason() says why.
  bool push(int32_t token) {
    show(stops_.push(decoder_.push(token)));
    return !stops_.stopped() && !is_cancelled_;
  }
  // What was held back in the hope of more.
  void finish() {
    if (is_cancelled_) return;
    show(stops_.push(decoder_.flush()));
    if (!is_cancelled_) show(stops_.flush());
  }
  StopReason reason() const { return stops_.stopped() ? StopReason::kStopString : StopReason::kCancelled; }
  std::string take_text() { return std::move(text_); }

 private:
  void show(const std::string& piece) {
    if (piece.empty()) return;
    text_ += piece;
    if (on_text_ && !on_text_(piece)) is_cancelled_ = true;
  }

  text::StreamDecoder decoder_;
  StopStrings stops_;
  const TextCallback& on_text_;
  std::string text_;
  bool is_cancelled_ = false;
};

Status check_request(const TokenModel& model, std::span<const int32_t> prompt, const GenerateOptions& options) {
  TRY(check(options.sampling));
  if (prompt.empty()) return invalid_argument("generate: the prompt has no tokens");
  const int64_t room = model.capacity() - model.position();
  if (static_cast<int64_t>(prompt.size()) > room) {
    return make_error(ErrorCode::kOutOfRange,
                      "generate: the prompt has {} tokens; the context holds {}, of which {} are taken", prompt.size(),
                      model.capacity(), model.position());
  }
  return {};
}

}  // namespace

std::string_view name_of(StopReason reason) {
  switch (reason) {
    case StopReason::kStopToken:
      return "stop token";
    case StopReason::kStopString:
      return "stop string";
    case StopReason::kMaxTokens:
      return "max tokens";
    case StopReason::kContextFull:
      return "context full";
    case StopReason::kCancelled:
      return "cancelled";
  }
  return "?";
}

Result<Generation> generate(TokenModel& model, const text::Tokenizer& tokenizer, std::span<const int32_t> prompt,
                            const GenerateOptions& options, const TextCallback& on_text) {
  TRY(check_request(model, prompt, options));
  Generation out;
  out.n_prompt = static_cast<int64_t>(prompt.size());
  Sampler sampler(options.sampling, tokenizer.vocabulary().suppressed);
  for (int32_t token : prompt) sampler.accept(token);
  auto start = Clock::now();
  int32_t token = TRY(model.next(prompt, sampler));
  out.prefill_s = seconds_since(start);

  start = Clock::now();
  Output output(text::StreamDecoder(tokenizer, prompt.back(), {.show_special = options.show_special}), options,
                on_text);
  const auto is_enough = [&] { return options.max_tokens >= 0 && std::ssize(out.tokens) >= options.max_tokens; };
  while (!is_enough()) {
    if (options.stop_at_stop_tokens && tokenizer.is_stop(token)) {
      out.reason = StopReason::kStopToken;
      out.stop_token = token;
      break;
    }
    out.tokens.push_back(token);
    sampler.accept(token);
    if (!output.push(token)) {
      out.reason = output.reason();
      break;
    }
    if (is_enough()) break;  // nobody will ask for the next token
    if (model.position() >= model.capacity()) {
      out.reason = StopReason::kContextFull;
      break;
    }
    token = TRY(model.next({&token, 1}, sampler));
    ++out.n_steps;
  }
  output.finish();
  out.text = output.take_text();
  out.decode_s = seconds_since(start);
  return out;
}

}  // namespace tessera::generate
