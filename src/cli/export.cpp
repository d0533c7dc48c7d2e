// tessera export: a GGUF file into an ExecuTorch program.
#include <chrono>
#include <filesystem>

#include "cli/command.h"
#include "cli/model_file.h"
#include "cli/progress.h"
#include "compile/export.h"

namespace tessera::cli {
namespace {

struct ExportFlags {
  std::string in, out, dtype = "bf16", kv_dtype;
  int64_t max_seq_len = 0, prefill_chunk = 256;
  bool external = false;
};

DType parse(const std::string& name) {
  const auto dtype = parse_dtype(name);
  if (!dtype) throw Failure{fmt::format("dtype '{}': expected f32, bf16 or f16", name)};
  return *dtype;
}

void run(const ExportFlags& flags) {
  compile::ExportOptions options;
  options.compile.dtype = parse(flags.dtype);
  if (!flags.kv_dtype.empty()) options.compile.kv_dtype = parse(flags.kv_dtype);
  options.compile.max_seq_len = flags.max_seq_len;
  options.compile.prefill_chunk = flags.prefill_chunk;
  options.external = flags.external;
  const auto start = std::chrono::steady_clock::now();
  std::vector<std::string> warnings;
  {
    ProgressLine line("exporting");
    need(compile::export_pte(flags.in, flags.out, options, line.callback(), &warnings));
  }
  warn(warnings);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const double mb = static_cast<double>(std::filesystem::file_size(flags.out)) / 1e6;
  fmt::print(stderr, "{}: {:.1f} MB in {:.2f} s ({:.0f} MB/s)\n", flags.out, mb, seconds, mb / seconds);
}

}  // namespace

void add_export(CLI::App& app) {
  auto* command = app.add_subcommand(
      "export",
      "Compile a GGUF model into an ExecuTorch program (.pte, MLX delegate) that holds the same packed weights");
  auto flags = std::make_shared<ExportFlags>();
  command->add_option("MODEL", flags->in, "A .gguf file (of a split model the first part)")->required();
  command->add_option("-o,--output", flags->out, "The program to write")->required();
  command->add_option("--dtype", flags->dtype, "Activations and norms: bf16, f32, f16")->capture_default_str();
  command->add_option("--kv-dtype", flags->kv_dtype, "Caches; default as --dtype");
  command
      ->add_option("--max-seq-len", flags->max_seq_len, "Tokens the caches hold; 0: the model's context, at most 4096")
      ->check(CLI::NonNegativeNumber);
  command
      ->add_option("--prefill-chunk", flags->prefill_chunk, "Most tokens of one step (ExecuTorch's runner expects 256)")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  command->add_flag("--external", flags->external,
                    "Write no weights: the program names the GGUF file and reads them there");
  command->callback([flags] { run(*flags); });
}

}  // namespace tessera::cli
