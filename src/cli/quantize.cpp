// tessera quantize: a GGUF file into another weight format.
#include "compile/quantize_model.h"

#include <filesystem>

#include "cli/command.h"
#include "cli/progress.h"
#include "compile/quant_mix.h"
#include "gguf/file.h"

namespace tessera::cli {

void add_quantize(CLI::App& app) {
  auto* command =
      app.add_subcommand("quantize", "Rewrite a GGUF model's weights in a smaller format or mix of formats");
  struct Flags {
    std::string in, out;
    compile::QuantizeOptions options;
  };
  auto flags = std::make_shared<Flags>();
  command->add_option("IN", flags->in, "A .gguf file with F32, F16 or BF16 weights")->required();
  command->add_option("OUT", flags->out, "The file to write")->required();
  command->add_option("--type", flags->options.type, "q4_k_m, q5_k_m, q6_k, q8_0, q4_0, ... : a mix or a plain format")
      ->required();
  command->add_option("--head-type", flags->options.head_type, "Format of the output matrix (or tied embedding)");
  command->add_flag("--allow-requantize", flags->options.allow_requantize, "Accept weights that are quantized already");
  command->add_option("--threads", flags->options.n_threads, "CPU threads; 0: one per processor")
      ->check(thread_counts());
  command->callback([flags] {
    const uint64_t from_bytes = need(gguf::File::open(flags->in))->size_bytes();  // of all parts
    {
      ProgressLine line("quantizing");
      need(compile::quantize_model(flags->in, flags->out, flags->options, line.callback()));
    }
    fmt::print(stderr, "{}: {:.1f} MB (from {:.1f} MB)\n", flags->out,
               static_cast<double>(std::filesystem::file_size(flags->out)) / 1e6,
               static_cast<double>(from_bytes) / 1e6);
  });
}

}  // namespace tessera::cli
