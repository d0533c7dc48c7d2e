// tessera run: one prompt, one answer. The text goes to stdout, everything else to stderr.
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>

#include "cli/command.h"
#include "cli/model_file.h"
#include "cli/sampling_flags.h"
#include "generate/generator.h"
#include "generate/session_model.h"

namespace tessera::cli {
namespace {

constexpr const char* kNoPrompt = "the prompt is empty; give one with -p or --prompt-file";

struct RunFlags {
  ModelFlags model;
  SamplingFlags sampling;
  std::string prompt, prompt_file, system;
  std::vector<std::string> stop;
  int64_t n = -1;
  bool raw = false, thinking = false, ignore_stop = false, show_special = false, stats = false;
};

std::string prompt_text(const RunFlags& flags) {
  if (flags.prompt_file.empty()) return flags.prompt;
  if (flags.prompt_file == "-") return {std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
  std::ifstream in(flags.prompt_file, std::ios::binary);
  if (!in) throw Failure{fmt::format("{}: cannot open the prompt file", flags.prompt_file)};
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::vector<int32_t> prompt_tokens(const RunFlags& flags, const LoadedModel& loaded) {
  const std::string text = prompt_text(flags);
  const bool plain = flags.raw || loaded.chat_template.kind == text::ChatTemplate::Kind::kPlain;
  if (plain && (flags.thinking || !flags.system.empty()))
    throw Failure{fmt::format("--system and --thinking need a chat template, and {}",
                              flags.raw ? "--raw uses none" : "the model has none")};
  if (plain)
    return loaded.tokenizer->encode(text,
                                    {.add_bos = loaded.tokenizer->vocabulary().add_bos, .parse_special = flags.raw});
  std::vector<text::Message> messages;
  if (!flags.system.empty()) messages.push_back({.role = text::Role::kSystem, .content = flags.system});
  messages.push_back({.role = text::Role::kUser, .content = loaded.tokenizer->defuse(text)});
  const std::string rendered = need(text::render(loaded.chat_template, messages, {.thinking = flags.thinking}));
  return loaded.tokenizer->encode(rendered, {.parse_special = true});
}

void run(const RunFlags& flags) {
  const LoadedModel loaded = load_model(flags.model);
  const std::vector<int32_t> prompt = prompt_tokens(flags, loaded);
  if (prompt.empty()) throw Failure{kNoPrompt};
  generate::SessionModel model(open_session(loaded));
  generate::GenerateOptions options{.max_tokens = flags.n,
                                    .sampling = flags.sampling.resolve(loaded),
                                    .stop_strings = flags.stop,
                                    .stop_at_stop_tokens = !flags.ignore_stop,
                                    .show_special = flags.show_special};
  const auto generation =
      need(generate::generate(model, *loaded.tokenizer, prompt, options, [](std::string_view piece) {
        std::fwrite(piece.data(), 1, piece.size(), stdout);
        return std::fflush(stdout) == 0;
      }));
  std::fputc('\n', stdout);
  if (!flags.stats) return;
  fmt::print(stderr, "load {:.3f} s, prompt {} tokens at {:.1f} tok/s, {} tokens at {:.1f} tok/s, ended by {}\n",
             loaded.load_s, generation.n_prompt, generation.prefill_tokens_per_s(), generation.tokens.size(),
             generation.decode_tokens_per_s(), generate::name_of(generation.reason));
}

}  // namespace

void add_run(CLI::App& app) {
  auto* command = app.add_subcommand("run", "Generate text from a prompt (a .gguf or a .pte)");
  auto flags = std::make_shared<RunFlags>();
  flags->model.add_to(*command);
  flags->sampling.add_to(*command);
  auto* prompt = command->add_option("-p,--prompt", flags->prompt, "The prompt");
  auto* file =
      command->add_option("--prompt-file", flags->prompt_file, "Read the prompt from a file; - is standard input");
  file->excludes(prompt);
  command->add_option("--system", flags->system, "A system message before the prompt");
  command->add_option("-n,--max-tokens", flags->n, "Stop after this many tokens; -1: when the context is full")
      ->capture_default_str();
  command->add_option("--stop", flags->stop, "Also stop when this text appears (may be repeated)");
  command->add_flag("--raw", flags->raw,
                    "Continue the text as it is: no chat template; markers in it are special tokens");
  command->add_flag("--thinking", flags->thinking, "Let the model think before it answers");
  command->add_flag("--ignore-stop", flags->ignore_stop, "Go on after the model ended its turn");
  command->add_flag("--show-special", flags->show_special, "Print control tokens too");
  command->add_flag("--stats", flags->stats, "Print times and speeds to stderr");
  command->callback([flags, prompt, file] {
    if (prompt->count() + file->count() == 0) throw Failure{kNoPrompt};
    run(*flags);
  });
}

}  // namespace tessera::cli
