// tessera tokenize: text to ids, or ids to text.
#include <cstdio>
#include <iostream>
#include <iterator>
#include <sstream>

#include "cli/command.h"
#include "cli/model_file.h"
#include "cli/token_list.h"

namespace tessera::cli {
namespace {

struct TokenizeFlags {
  std::string model, tokenizer, text, ids;
  bool special = false, has_text = false, has_ids = false;
};

void run(const TokenizeFlags& flags) {
  const auto tokenizer = load_tokenizer(flags.model, flags.tokenizer);
  if (flags.has_ids) {
    const std::vector<int32_t> ids = parse_tokens(flags.ids, "--ids");
    for (int32_t id : ids)
      if (id < 0 || id >= tokenizer->vocab_size())
        throw Failure{fmt::format("--ids: {} is outside the vocabulary (0..{})", id, tokenizer->vocab_size() - 1)};
    const std::string text = tokenizer->decode(ids, {.show_special = flags.special});
    std::fwrite(text.data(), 1, text.size(), stdout);
    return;
  }
  std::string text = flags.text;
  if (!flags.has_text) text.assign(std::istreambuf_iterator<char>(std::cin), {});
  const bool add_bos = flags.special && tokenizer->vocabulary().add_bos;
  std::string line;
  for (int32_t id : tokenizer->encode(text, {.add_bos = add_bos, .parse_special = flags.special}))
    line += fmt::format("{}{}", line.empty() ? "" : " ", id);
  std::puts(line.c_str());
}

}  // namespace

void add_tokenize(CLI::App& app) {
  auto* command = app.add_subcommand("tokenize", "Show the token ids of a text, or the text of token ids");
  auto flags = std::make_shared<TokenizeFlags>();
  command->add_option("MODEL", flags->model, "A .gguf or .pte file")->required();
  command->add_option("--tokenizer", flags->tokenizer, "A tokenizer.json to use instead of the tokenizer inside");
  auto* text = command->add_option("-p,--prompt", flags->text, "The text; default: standard input");
  auto* ids = command->add_option("--ids", flags->ids, "Token ids, separated by spaces or commas: print their text");
  ids->excludes(text);
  command->add_flag("--special", flags->special, "Add bos, and read (with --ids: show) control tokens in the text");
  command->callback([flags, text, ids] {
    flags->has_text = text->count() > 0;
    flags->has_ids = ids->count() > 0;
    run(*flags);
  });
}

}  // namespace tessera::cli
