// tessera export: a GGUF file or a Hugging Face folder into an ExecuTorch program.
#include <chrono>
#include <filesystem>

#include "cli/command.h"
#include "cli/model_file.h"
#include "cli/progress.h"
#include "compile/export.h"

namespace tessera::cli {
namespace {

struct ExportFlags {
  std::string in, out, dtype = "bf16", kv_dtype, lowering = "packed", recipe = "default", int4_zeros = "codes";
  int64_t max_seq_len = 0, prefill_chunk = 256;
  bool external = false, ptd = false, strict = false, keep_packed = false, sampling = false, turboquant = false;
};

DType parse(const std::string& name) {
  const auto dtype = parse_dtype(name);
  if (!dtype) throw Failure{fmt::format("dtype '{}': expected f32, bf16 or f16", name)};
  return *dtype;
}

compile::UnknownFormats unknown_formats(const ExportFlags& flags) {
  if (flags.strict) return compile::UnknownFormats::kRefuse;
  // A program that names its GGUF is for Tessera alone, which has a kernel for everything.
  return flags.keep_packed || flags.external ? compile::UnknownFormats::kKeep : compile::UnknownFormats::kDequantize;
}

compile::ExportOptions options_of(const ExportFlags& flags) {
  if (flags.external && flags.lowering != "packed")
    throw Failure{"--external leaves the weights in the GGUF file, so they stay packed: --lowering mlx needs others"};
  compile::ExportOptions options;
  options.compile.dtype = parse(flags.dtype);
  if (!flags.kv_dtype.empty()) options.compile.kv_dtype = parse(flags.kv_dtype);
  options.compile.max_seq_len = flags.max_seq_len;
  options.compile.prefill_chunk = flags.prefill_chunk;
  if (flags.lowering == "mlx") options.compile.lowering = compile::LoweringKind::kAffine;
  options.compile.unknown_formats = unknown_formats(flags);
  options.compile.sampling = flags.sampling;
  options.compile.turboquant = flags.turboquant;
  options.external = flags.external;
  options.ptd = flags.ptd;
  options.checkpoint.recipe = need(models::parse_recipe(flags.recipe));
  if (flags.int4_zeros == "values") options.checkpoint.int4_zeros = models::Int4Zeros::kValues;
  return options;
}

void run(const ExportFlags& flags) {
  const compile::ExportOptions options = options_of(flags);
  const compile::ExportPaths paths = need(compile::export_paths(flags.out, options));
  const auto start = std::chrono::steady_clock::now();
  std::vector<std::string> warnings;
  {
    ProgressLine line("exporting");
    need(compile::export_model(flags.in, paths, options, line.callback(), &warnings));
  }
  warn(warnings);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  double total_mb = 0;
  for (const std::string& path : {paths.tokenizer, paths.ptd, paths.pte}) {
    if (path.empty() || !std::filesystem::exists(path)) continue;
    const double mb = static_cast<double>(std::filesystem::file_size(path)) / 1e6;
    fmt::print(stderr, "{}: {:.1f} MB\n", path, mb);
    total_mb += mb;
  }
  fmt::print(stderr, "{:.1f} MB in {:.2f} s ({:.0f} MB/s)\n", total_mb, seconds, total_mb / seconds);
}

}  // namespace

void add_export(CLI::App& app) {
  auto* command = app.add_subcommand(
      "export",
      "Compile a GGUF model into an ExecuTorch program (.pte, MLX delegate) that holds the same packed weights");
  auto flags = std::make_shared<ExportFlags>();
  command->add_option("MODEL", flags->in, "A .gguf file (of a split model the first part), or a folder of safetensors")
      ->required();
  command
      ->add_option("-o,--output", flags->out,
                   "The program to write; a folder (an existing one, or with / at its end) gets model.pte and "
                   "tokenizer.json")
      ->required();
  command->add_option("--dtype", flags->dtype, "Activations and norms: bf16, f32, f16")->capture_default_str();
  command->add_option("--kv-dtype", flags->kv_dtype, "Caches; default as --dtype");
  command
      ->add_option("--max-seq-len", flags->max_seq_len, "Tokens the caches hold; 0: the model's context, at most 4096")
      ->check(CLI::NonNegativeNumber);
  command
      ->add_option("--prefill-chunk", flags->prefill_chunk, "Most tokens of one step (ExecuTorch's runner expects 256)")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  command
      ->add_option("--lowering", flags->lowering,
                   "packed: GGUF blocks and fused kernels; mlx: the framework's own affine groups where they can "
                   "express the format")
      ->capture_default_str()
      ->check(CLI::IsMember({"packed", "mlx"}));
  command->add_flag("--turboquant", flags->turboquant,
                    "Caches of full layers in 4 bits, a quarter of bf16's memory (head sizes 64, 128, 256, 512, 1024)");
  command->add_flag("--with-sampling", flags->sampling,
                    "Sample inside the program: it takes temperature, top_k, top_p and seed and gives a token");
  command
      ->add_option("--recipe", flags->recipe,
                   "How plain weights of a folder are quantized: default (4 bits, min-max), sensitive (4 bits, HQQ, "
                   "with 8 bits where it matters), none")
      ->capture_default_str();
  command
      ->add_option("--int4-zeros", flags->int4_zeros,
                   "What the zero points of a folder's int4 tensors are: codes, or values (torchao's own quantizer)")
      ->capture_default_str()
      ->check(CLI::IsMember({"codes", "values"}));
  auto* ptd = command->add_flag("--ptd", flags->ptd, "Write the weights into a .ptd beside the program");
  auto* strict = command->add_flag("--strict", flags->strict,
                                   "Refuse weights that ExecuTorch has no form for, instead of making them bf16");
  command
      ->add_flag("--keep-packed", flags->keep_packed,
                 "Keep the blocks of every format: such a program may run in Tessera only")
      ->excludes(strict);
  command
      ->add_flag("--external", flags->external,
                 "Write no weights: the program names the GGUF file and reads them there (Tessera only)")
      ->excludes(ptd)
      ->excludes(strict);
  command->callback([flags] { run(*flags); });
}

}  // namespace tessera::cli
