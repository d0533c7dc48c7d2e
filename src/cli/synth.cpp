// tessera synth: a random-weight model of a real shape, for measuring.
#include "compile/synth.h"

#include <filesystem>

#include "cli/command.h"
#include "cli/progress.h"

namespace tessera::cli {
namespace {

struct SynthFlags {
  std::string out, shape;
  compile::SynthOptions options;
  std::optional<int64_t> hidden, layers, heads, head_dim, head_dim_full, kv_heads, kv_heads_full, ffn, window, vocab,
      period, context;
};

compile::SynthShape shape_of(const SynthFlags& flags) {
  compile::SynthShape shape = flags.shape.empty() ? compile::SynthShape{} : need(compile::named_shape(flags.shape));
  const auto set = [](int64_t& field, const std::optional<int64_t>& flag) {
    if (flag) field = *flag;
  };
  set(shape.hidden, flags.hidden);
  set(shape.layers, flags.layers);
  set(shape.heads, flags.heads);
  set(shape.head_dim, flags.head_dim);
  set(shape.head_dim_full, flags.head_dim_full);
  set(shape.kv_heads, flags.kv_heads);
  set(shape.kv_heads_full, flags.kv_heads_full);
  set(shape.ffn, flags.ffn);
  set(shape.window, flags.window);
  set(shape.vocab, flags.vocab);
  set(shape.period, flags.period);
  set(shape.context, flags.context);
  return shape;
}

}  // namespace

void add_synth(CLI::App& app) {
  auto* command =
      app.add_subcommand("synth", "Write a Gemma 4 model with random weights: a real shape without a download");
  auto flags = std::make_shared<SynthFlags>();
  command->add_option("OUT", flags->out, "The .gguf file to write")->required();
  command->add_option("--shape", flags->shape, "One of: " + compile::list_shapes());
  command
      ->add_option("--type", flags->options.type,
                   "Mix or format of the matrices, also one that quantize does not write")
      ->capture_default_str();
  command->add_option("--seed", flags->options.seed, "Same seed, same file")->capture_default_str();
  command->add_option("--threads", flags->options.n_threads, "CPU threads; 0: one per processor")
      ->check(thread_counts());
  const auto dimension = [&](const char* name, std::optional<int64_t>& field, const char* help) {
    command->add_option(name, field, help)
        ->check(CLI::PositiveNumber)
        ->group("Dimensions (of the shape, or instead of one)");
  };
  dimension("--hidden", flags->hidden, "Width of the residual stream");
  dimension("--layers", flags->layers, "Transformer blocks");
  dimension("--heads", flags->heads, "Query heads");
  dimension("--head-dim", flags->head_dim, "Width of a head in sliding layers");
  dimension("--head-dim-full", flags->head_dim_full, "Width of a head in full layers");
  dimension("--kv-heads", flags->kv_heads, "KV heads of sliding layers");
  dimension("--kv-heads-full", flags->kv_heads_full, "KV heads of full layers");
  dimension("--ffn", flags->ffn, "Width of the feed-forward network");
  dimension("--window", flags->window, "Positions a sliding layer sees");
  dimension("--vocab", flags->vocab, "Tokens");
  dimension("--period", flags->period, "Every n-th layer is full");
  dimension("--context", flags->context, "Context length");
  command->callback([flags] {
    const compile::SynthShape shape = shape_of(*flags);
    {
      ProgressLine line("writing");
      need(compile::synth_model(flags->out, shape, flags->options, line.callback()));
    }
    fmt::print(stderr, "{}: {:.1f} MB\n", flags->out,
               static_cast<double>(std::filesystem::file_size(flags->out)) / 1e6);
  });
}

}  // namespace tessera::cli
