// What all commands share: how each one registers itself, and what a failed Result becomes. Each command is one file
// with one function that adds its subcommand, options and action to the application.
#pragma once

#include <CLI/CLI.hpp>

#include <string>

#include "base/result.h"

namespace tessera::cli {

// Thrown by a command's action; main prints it as "tessera: error: ..." and exits with 1. The cli is the one room with
// exceptions, because CLI11 reports wrong usage by them.
struct Failure {
  std::string message;
};

// The value, or Failure.
template <typename T>
T need(Result<T> result) {
  if (!result) throw Failure{result.error().message};
  return std::move(result).value();
}
inline void need(Status status) {
  if (!status) throw Failure{status.error().message};
}

// What --threads takes; 0: one per processor.
inline CLI::Range thread_counts() { return CLI::Range(0, 1024); }
// What options that count tokens take: sums of them stay far from the end of their type.
inline CLI::Range token_counts(int64_t least) { return CLI::Range(least, int64_t{1} << 30); }

void add_export(CLI::App& app);
void add_exec(CLI::App& app);
void add_run(CLI::App& app);
void add_chat(CLI::App& app);
void add_inspect(CLI::App& app);
void add_logits(CLI::App& app);
void add_tokenize(CLI::App& app);
void add_perplexity(CLI::App& app);
void add_quantize(CLI::App& app);
void add_synth(CLI::App& app);
void add_bench(CLI::App& app);
void add_verify(CLI::App& app);

}  // namespace tessera::cli
