// tessera chat: a conversation. Earlier turns stay in the caches: only what is new is computed.
#include <unistd.h>

#include <cstdio>
#include <iostream>

#include "cli/command.h"
#include "cli/model_file.h"
#include "cli/sampling_flags.h"
#include "generate/generator.h"
#include "generate/session_model.h"
#include "text/model_output.h"

namespace tessera::cli {
namespace {

struct ChatFlags {
  ModelFlags model;
  SamplingFlags sampling;
  std::string system;
  int64_t n = -1;
  bool thinking = false;
};

class Conversation {
 public:
  Conversation(const ChatFlags& flags, const LoadedModel& loaded)
      : flags_(flags), loaded_(loaded), model_(open_session(loaded)), sampling_(flags.sampling.resolve(loaded)) {
    restart();
  }

  void restart() {
    messages_.clear();
    empty_caches();
    if (!flags_.system.empty()) messages_.push_back({.role = text::Role::kSystem, .content = flags_.system});
  }

  // One turn. One that fails - too long, an answer that is damaged - is forgotten, and the conversation goes on.
  void say(const std::string& line) {
    const auto n_before = static_cast<std::ptrdiff_t>(messages_.size());
    try {
      take_turn(line);
    } catch (const Failure& failure) {
      fmt::print(stderr, "tessera: error: {} (this turn is forgotten; /reset starts over)\n", failure.message);
      messages_.erase(messages_.begin() + n_before, messages_.end());
      empty_caches();
    }
  }

 private:
  void empty_caches() {
    resident_.clear();
    model_.session().reset();
  }
  // Sends what the user says and prints the answer as it comes.
  void take_turn(const std::string& line) {
    messages_.push_back({.role = text::Role::kUser, .content = loaded_.tokenizer->defuse(line)});
    const std::vector<int32_t> prompt = render();
    const size_t shared = common_prefix(prompt);
    if (shared < resident_.size()) empty_caches();  // the template rewrote history: start over with the whole of it
    const std::span<const int32_t> fresh = std::span(prompt).subspan(resident_.size());
    const generate::GenerateOptions options{.max_tokens = flags_.n, .sampling = sampling_};
    const auto answer = need(generate::generate(model_, *loaded_.tokenizer, fresh, options, [](std::string_view piece) {
      std::fwrite(piece.data(), 1, piece.size(), stdout);
      return std::fflush(stdout) == 0;
    }));
    std::fputc('\n', stdout);
    remember(prompt, answer);
    const auto output = need(text::parse_output(loaded_.chat_template, answer.text));
    messages_.push_back({.role = text::Role::kAssistant, .content = output.content});
    ++sampling_.seed;
    if (answer.reason == generate::StopReason::kContextFull)
      std::fprintf(stderr, "(the context of %lld tokens is full; /reset starts over)\n",
                   static_cast<long long>(model_.capacity()));
  }

  std::vector<int32_t> render() const {
    const std::string text = need(text::render(loaded_.chat_template, messages_, {.thinking = flags_.thinking}));
    const bool plain = loaded_.chat_template.kind == text::ChatTemplate::Kind::kPlain;  // which writes no bos
    const bool add_bos = plain && loaded_.tokenizer->vocabulary().add_bos;
    return loaded_.tokenizer->encode(text, {.add_bos = add_bos, .parse_special = true});
  }
  size_t common_prefix(const std::vector<int32_t>& prompt) const {
    size_t n = 0;
    while (n < resident_.size() && n < prompt.size() && resident_[n] == prompt[n]) ++n;
    // At least one token must be fed to get logits.
    return n == prompt.size() ? 0 : n;
  }
  // What the caches hold now: the prompt and the answer without the last sampled token, which was never fed.
  void remember(const std::vector<int32_t>& prompt, const generate::Generation& answer) {
    resident_ = prompt;
    resident_.insert(resident_.end(), answer.tokens.begin(), answer.tokens.end());
    resident_.resize(static_cast<size_t>(model_.position()));
  }

  const ChatFlags& flags_;
  const LoadedModel& loaded_;
  generate::SessionModel model_;
  generate::SamplingOptions sampling_;
  std::vector<text::Message> messages_;
  std::vector<int32_t> resident_;
};

void run(const ChatFlags& flags) {
  const LoadedModel loaded = load_model(flags.model);
  if (flags.thinking && loaded.chat_template.kind == text::ChatTemplate::Kind::kPlain)
    throw Failure{"--thinking needs a chat template, and the model has none"};
  Conversation conversation(flags, loaded);
  const bool interactive = ::isatty(STDIN_FILENO) != 0;
  if (interactive) std::fprintf(stderr, "/reset forgets the conversation, /quit or Ctrl-D ends it.\n");
  for (std::string line;;) {
    if (interactive) std::fprintf(stderr, "> ");
    if (!std::getline(std::cin, line) || line == "/quit") break;
    if (line.empty()) continue;
    if (line == "/reset")
      conversation.restart();
    else
      conversation.say(line);
  }
}

}  // namespace

void add_chat(CLI::App& app) {
  auto* command = app.add_subcommand("chat", "Talk to a model, with history; one line of input is one turn");
  auto flags = std::make_shared<ChatFlags>();
  flags->model.add_to(*command);
  flags->sampling.add_to(*command);
  command->add_option("--system", flags->system, "A system message");
  command->add_option("-n,--max-tokens", flags->n, "Longest answer in tokens; -1: until the context is full")
      ->capture_default_str();
  command->add_flag("--thinking", flags->thinking, "Let the model think before it answers");
  command->callback([flags] { run(*flags); });
}

}  // namespace tessera::cli
