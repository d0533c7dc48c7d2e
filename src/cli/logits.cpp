// tessera logits: the logits after every token of a list, as float32 [n_tokens][vocab] in a file. For comparing
// engines.
#include <fstream>
#include <iterator>

#include "base/file_writer.h"
#include "cli/command.h"
#include "cli/model_file.h"
#include "cli/token_list.h"

namespace tessera::cli {
namespace {

struct LogitsFlags {
  ModelFlags model;
  std::string tokens, tokens_file, out;
};

std::vector<int32_t> tokens_of(const LogitsFlags& flags) {
  if (flags.tokens_file.empty()) return parse_tokens(flags.tokens, "--tokens");
  std::ifstream in(flags.tokens_file);
  if (!in) throw Failure{fmt::format("{}: cannot open the token file", flags.tokens_file)};
  return parse_tokens(std::string(std::istreambuf_iterator<char>(in), {}), flags.tokens_file);
}

void run(const LogitsFlags& flags) {
  const std::vector<int32_t> tokens = tokens_of(flags);
  if (tokens.empty()) throw Failure{"no tokens: give them with --tokens or --tokens-file"};
  bool all = false;
  const LoadedModel loaded = load_for_logits(flags.model, all);
  auto session = open_session(loaded);
  auto file = need(FileWriter::create(flags.out));
  const size_t piece = all ? static_cast<size_t>(loaded.model->max_tokens_per_step()) : 1;
  for (size_t i = 0; i < tokens.size(); i += piece) {
    const auto logits = need(session->step(std::span(tokens).subspan(i, std::min(piece, tokens.size() - i))));
    need(file.write(logits.data(), logits.size_bytes()));
  }
  need(file.commit());
}

}  // namespace

void add_logits(CLI::App& app) {
  auto* command =
      app.add_subcommand("logits", "Write the logits after each of some tokens as float32 [n_tokens][vocab]");
  auto flags = std::make_shared<LogitsFlags>();
  flags->model.add_to(*command);
  auto* list = command->add_option("--tokens", flags->tokens, "Token ids, separated by spaces or commas");
  command->add_option("--tokens-file", flags->tokens_file, "A file of token ids")->excludes(list);
  command->add_option("-o,--output", flags->out, "The file to write")->required();
  command->callback([flags] { run(*flags); });
}

}  // namespace tessera::cli
