#include "compile/compile.h"

#include <algorithm>

#include "compile/lower.h"
#include "compile/passes.h"
#include "compile/vocabulary_from_gguf.h"
#include "models/model.h"

namespace tessera::compile {
namespace {

// Tessera's own named data, beside the tokenizer (text/vocabulary.h) and hints (program/hints.h).
constexpr std::string_view kModelKey = "tessera.model";

Result<LowerOptions> lower_options(const CompileOptions& options, const models::Model& model) {
  if (options.prefill_chunk < 1)
    return invalid_argument("prefill chunk: expected at least 1, found {}", options.prefill_chunk);
  if (options.max_seq_len < 0 || options.max_seq_len > model.context_length)
    return invalid_argument("maximum sequence length: expected 1 to {} (the model's context), found {}",
                            model.context_length, options.max_seq_len);
  const int64_t max_seq_len =
      options.max_seq_len > 0 ? options.max_seq_len : std::min(model.context_length, kDefaultMaxSeqLen);
  return LowerOptions{max_seq_len,
                      std::min(options.prefill_chunk, max_seq_len),
                      {options.lowering, options.unknown_formats, options.dtype},
                      options.turboquant,
                      options.sampling};
}

Status check_dtype(DType dtype) {
  if (is_activation_dtype(dtype)) return {};
  return invalid_argument("activations and caches are f32, bf16 or f16, not {}", tessera::name_of(dtype));
}

// What a host asks before it runs (executorch-pte, "Exported interface" and "Host side").
void add_constant_methods(program::Program& program, const models::Model& model, const LowerOptions& lowered) {
  auto& methods = program.constant_methods;
  methods["get_max_seq_len"] = {lowered.max_seq_len};
  methods["get_max_prefill_chunk"] = {lowered.prefill_chunk};
  methods["get_vocab_size"] = {model.vocab_size};
  methods["get_n_layers"] = {model.n_layers};
  methods["use_kv_cache"] = {true};
  methods["use_sdpa_with_kv_cache"] = {false};
  methods["enable_dynamic_shape"] = {true};
  methods["use_sampling"] = {lowered.sampling};
}

program::Data text_data(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return program::Data::own({bytes.begin(), bytes.end()});
}

// Everything a token loop needs, from the file's tokenizer.
Status add_tokenizer(program::Program& program, const models::ModelSource& source) {
  const text::Vocabulary vocabulary = TRY(vocabulary_from_metadata(source.metadata(), source.path()));
  program.data.emplace(text::kTokenizerKey, program::Data::own(text::encode(vocabulary)));
  if (vocabulary.bos >= 0) program.constant_methods["get_bos_id"] = {int64_t{vocabulary.bos}};
  auto& eos_ids = program.constant_methods["get_eos_ids"];
  for (int32_t id : vocabulary.stop_ids) eos_ids.emplace_back(int64_t{id});
  if (eos_ids.empty()) program.constant_methods.erase("get_eos_ids");
  return {};
}

}  // namespace

Result<program::Program> compile_gguf(std::shared_ptr<const gguf::File> file, const CompileOptions& options,
                                      std::vector<std::string>* warnings) {
  return compile_model(models::GgufSource(*file), options, warnings);
}

Result<program::Program> compile_model(const models::ModelSource& source, const CompileOptions& options,
                                       std::vector<std::string>* warnings) {
  const DType kv_dtype = options.kv_dtype.value_or(options.dtype);
  TRY(check_dtype(options.dtype));
  TRY(check_dtype(kv_dtype));
  models::Model model = TRY(models::build_model(source, {.dtype = options.dtype, .kv_dtype = kv_dtype}));
  const LowerOptions lowered = TRY(lower_options(options, model));
  TRY(run_passes(model.graph, options.disabled_passes));
  program::Program program = TRY(lower(model.graph, lowered, &model.warnings));
  add_constant_methods(program, model, lowered);
  program.data.emplace(kModelKey, text_data(fmt::format("architecture={}\nname={}\n", model.architecture, model.name)));
  if (source.metadata().contains("tokenizer.ggml.model"))
    TRY(add_tokenizer(program, source));
  else
    model.warnings.push_back("the model has no tokenizer: the program takes and gives token ids only");
  if (warnings) warnings->insert(warnings->end(), model.warnings.begin(), model.warnings.end());
  return program;
}

}  // namespace tessera::compile
