#include "cli/model_file.h"

#include <array>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "cli/command.h"
#include "compile/compile.h"
#include "compile/vocabulary_from_gguf.h"
#include "compile/vocabulary_from_json.h"
#include "gguf/file.h"
#include "program/pte_loader.h"

namespace tessera::cli {
namespace {

// Where a GGUF is run directly the chunk is ours to choose: large enough to amortise unpacking the weights, small
// enough that activations stay in cache and memory. A GPU's tensor cores need more tokens to be busy.
constexpr int64_t kDirectChunk = 512, kDirectChunkOfGpu = 2048;

DType dtype_or(const std::string& name, DType fallback) {
  if (name.empty()) return fallback;
  const auto dtype = parse_dtype(name);
  if (!dtype || !is_float(*dtype) || *dtype == DType::kF64)
    throw Failure{fmt::format("dtype '{}': expected f32, bf16 or f16", name)};
  return *dtype;
}

std::shared_ptr<const text::Vocabulary> vocabulary_of(const std::shared_ptr<const gguf::File>& file) {
  auto vocabulary = need(compile::vocabulary_from_gguf(*file));
  vocabulary.storage = file;
  return std::make_shared<const text::Vocabulary>(std::move(vocabulary));
}

std::unique_ptr<const text::Tokenizer> tokenizer_of_json(const std::string& file) {
  return need(
      text::Tokenizer::create(std::make_shared<const text::Vocabulary>(need(compile::vocabulary_from_json(file)))));
}

// `file`: a tokenizer.json that is used instead of the program's own tokenizer; or empty.
std::unique_ptr<const text::Tokenizer> tokenizer_of(const program::Program& program, const std::string& path,
                                                    const std::string& file) {
  if (!file.empty()) return tokenizer_of_json(file);
  const program::Data* data = program.find_data(text::kTokenizerKey);
  if (!data)
    throw Failure{fmt::format("{}: the program carries no tokenizer (named data {}); give one with --tokenizer", path,
                              text::kTokenizerKey)};
  auto vocabulary = need(text::decode(data->bytes));
  vocabulary.storage = data->owner;
  return need(text::Tokenizer::create(std::make_shared<const text::Vocabulary>(std::move(vocabulary))));
}

program::Program compile_gguf(const ModelFlags& flags) {
  auto file = need(gguf::File::open(flags.path));
  compile::CompileOptions options;
  options.dtype = dtype_or(flags.dtype, DType::kF32);
  // Keys and values are of the order of one, so that 11 bits of mantissa are worth more than bf16's range.
  if (!flags.kv_dtype.empty() || flags.dtype.empty())
    options.kv_dtype = dtype_or(flags.kv_dtype, flags.exact ? DType::kF32 : DType::kF16);
  options.max_seq_len = flags.context;
  options.turboquant = flags.turboquant;
  options.prefill_chunk = flags.chunk > 0 ? flags.chunk : flags.device == "cpu" ? kDirectChunk : kDirectChunkOfGpu;
  std::vector<std::string> warnings;
  auto program = need(compile::compile_gguf(file, options, &warnings));
  warn(warnings);
  return program;
}

}  // namespace

void ModelFlags::add_to(CLI::App& command, const char* context_help) {
  command.add_option("MODEL", path, "A .gguf or .pte file")->required();
  command.add_option("--device", device, "Where to run: cpu, cuda or cuda:N")->capture_default_str();
  command.add_option("--threads", threads, "CPU threads; 0: one per processor")->check(thread_counts());
  command.add_option("--context", context, context_help)->check(token_counts(0));
  command.add_option("--chunk", chunk, "Tokens of one prefill step; 0: 512 for a GGUF, 2048 on a GPU, a program's own")
      ->check(token_counts(0));
  command.add_option("--dtype", dtype, "Activations of a GGUF: f32 (default), bf16, f16; a .pte has its own");
  command.add_option("--kv-dtype", kv_dtype,
                     "Caches of a GGUF: f32, bf16, f16; default as --dtype if given, else f16, f32 with --exact");
  command.add_flag("--turboquant", turboquant, "Caches of a GGUF's full layers in 4 bits; a .pte has its own");
  command.add_option("--ptd", ptd, "Weights of a .pte that are in files of their own");
  command.add_option("--tokenizer", tokenizer, "A tokenizer.json to use instead of the tokenizer inside");
  command.add_flag("--exact", exact, "f32 activations in the matrix products instead of int8: slower, exact");
}

Result<FileKind> kind_of(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored))
    return invalid_argument("{}: a folder; 'tessera export {} -o out/' makes a program of a checkpoint", path, path);
  std::array<char, 8> magic{};
  std::ifstream in(path, std::ios::binary);
  if (!in) return make_error(ErrorCode::kNotFound, "{}: cannot open: {}", path, std::strerror(errno));
  in.read(magic.data(), magic.size());
  if (std::memcmp(magic.data(), "GGUF", 4) == 0) return FileKind::kGguf;
  if (std::memcmp(magic.data() + 4, "ET", 2) == 0) return FileKind::kPte;
  return invalid_format("{}: neither a GGUF file (magic 'GGUF') nor an ExecuTorch program ('ET12' at offset 4)", path);
}

std::unique_ptr<const text::Tokenizer> load_tokenizer(const std::string& path, const std::string& file) {
  const FileKind kind = need(kind_of(path));
  if (!file.empty()) return tokenizer_of_json(file);
  if (kind == FileKind::kGguf) return need(text::Tokenizer::create(vocabulary_of(need(gguf::File::open(path)))));
  return tokenizer_of(need(program::load_pte(path)), path, {});
}

program::Program load_program(const ModelFlags& flags) {
  if (need(kind_of(flags.path)) == FileKind::kGguf) return compile_gguf(flags);
  if (!flags.dtype.empty() || !flags.kv_dtype.empty() || flags.context > 0 || flags.turboquant)
    throw Failure{fmt::format(
        "{}: --dtype, --kv-dtype, --context and --turboquant are fixed when a program is exported", flags.path)};
  return need(program::load_pte(flags.path, {.method = {}, .ptd_paths = flags.ptd}));
}

LoadedModel load_model(const ModelFlags& flags) {
  const auto start = std::chrono::steady_clock::now();
  auto opening = open_device(flags.device);
  LoadedModel out;
  program::Program program = load_program(flags);
  out.tokenizer = tokenizer_of(program, flags.path, flags.tokenizer);
  out.chat_template = need(text::ChatTemplate::recognise(out.tokenizer->vocabulary().chat_template));
  const runtime::ModelOptions options{
      .n_threads = flags.threads, .exact = flags.exact, .max_chunk = flags.chunk, .disabled_fusions = {}};
  out.model = need(runtime::Model::create(std::move(program), options));
  if (const auto gpu = opening.get()) out.device = need(runtime::DeviceModel::create(out.model, gpu));
  out.load_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return out;
}

LoadedModel load_for_logits(const ModelFlags& flags, bool& all) {
  all = true;
  auto opening = open_device(flags.device);
  program::Program program = load_program(flags);
  runtime::ModelOptions options{.n_threads = flags.threads,
                                .exact = flags.exact,
                                .all_logits = true,
                                .max_chunk = flags.chunk,
                                .disabled_fusions = {}};
  LoadedModel out;
  if (!flags.tokenizer.empty() || program.find_data(text::kTokenizerKey))
    out.tokenizer = tokenizer_of(program, flags.path, flags.tokenizer);
  auto model = runtime::Model::create(program, options);
  if (!model && model.error().code == ErrorCode::kNotImplemented) {
    all = options.all_logits = false;
    model = runtime::Model::create(std::move(program), options);
  }
  out.model = need(std::move(model));
  if (const auto gpu = opening.get()) out.device = need(runtime::DeviceModel::create(out.model, gpu));
  return out;
}

void warn(const std::vector<std::string>& warnings) {
  for (const std::string& warning : warnings) std::fprintf(stderr, "tessera: warning: %s\n", warning.c_str());
}

}  // namespace tessera::cli
