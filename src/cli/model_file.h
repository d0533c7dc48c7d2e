// Opens what the user calls a model - a GGUF file or a .pte - as the same thing: a runtime model, its tokenizer and its
// chat template. A GGUF is compiled in memory on the way.
#pragma once

#include <CLI/CLI.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "cli/device.h"
#include "program/program.h"
#include "runtime/session.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace tessera::cli {

// How to open and run a model; the options every running command has.
struct ModelFlags {
  std::string path;
  std::string dtype, kv_dtype;  // of a GGUF; a .pte has its own
  std::string device = "cpu";
  std::vector<std::string> ptd;  // weights of a .pte in files of their own
  std::string tokenizer;         // a tokenizer.json, for a .pte that carries no tokenizer
  int64_t context = 0;           // tokens the caches hold; 0: at most 4096
  int64_t chunk = 0;             // tokens of one prefill step; 0: 512 for a GGUF (2048 on a GPU), a .pte's own
  int threads = 0;
  bool exact = false;
  bool turboquant = false;  // caches of a GGUF's full layers in 4 bits

  // `context_help`: what --context means to this command.
  void add_to(CLI::App& command,
              const char* context_help = "Tokens the caches hold (GGUF); 0: the model's, at most 4096");
};

enum class FileKind { kGguf, kPte };
// By the magic bytes. Errors: neither.
Result<FileKind> kind_of(const std::string& path);

struct LoadedModel {
  std::shared_ptr<const runtime::Model> model;
  std::shared_ptr<const runtime::DeviceModel> device;  // the same on a GPU; null on the CPU
  std::unique_ptr<const text::Tokenizer> tokenizer;
  text::ChatTemplate chat_template;
  double load_s = 0;
};

// Only the tokenizer: of a GGUF without compiling it. `file`: a tokenizer.json to use instead, or empty.
std::unique_ptr<const text::Tokenizer> load_tokenizer(const std::string& path, const std::string& file);
// The program of either kind of file; warnings go to stderr.
program::Program load_program(const ModelFlags& flags);
LoadedModel load_model(const ModelFlags& flags);
// A model whose steps return every token's logits where the program allows it, else one to be fed token by token.
// `all` tells which. It may have no tokenizer.
LoadedModel load_for_logits(const ModelFlags& flags, bool& all);

void warn(const std::vector<std::string>& warnings);

}  // namespace tessera::cli
