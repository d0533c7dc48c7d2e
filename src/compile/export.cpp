#include "compile/export.h"

#include <filesystem>

#include "base/file_writer.h"
#include "compile/output_files.h"
#include "compile/vocabulary_from_gguf.h"
#include "gguf/file.h"
#include "program/pte_writer.h"
#include "text/tokenizer_json.h"

namespace tessera::compile {
namespace {

namespace fs = std::filesystem;
using Weights = program::WriteOptions::Weights;

Result<std::string> tokenizer_json(const gguf::File& file) {
  const text::Vocabulary vocabulary = TRY(vocabulary_from_gguf(file));
  return text::to_tokenizer_json(vocabulary);
}

Status write_text(std::string_view text, const std::string& path) {
  FileWriter out = TRY(FileWriter::create(path));
  TRY(out.write(text.data(), text.size()));
  return out.commit();
}

// A folder that is asked for by its tokenizer is made.
Status make_folder(const ExportPaths& paths) {
  if (paths.tokenizer.empty()) return {};
  std::error_code error;
  const fs::path folder = fs::path(paths.tokenizer).parent_path();
  fs::create_directories(folder, error);
  if (error) return make_error(ErrorCode::kIo, "{}: cannot make the folder: {}", folder.string(), error.message());
  return {};
}

// The tokenizer first: what is wrong with it shows before gigabytes are written.
Status write_files(const program::Program& program, std::string_view tokenizer, const ExportPaths& paths,
                   program::WriteOptions options) {
  OutputFiles out;
  const std::string pte = TRY(out.add(paths.pte));
  if (!paths.tokenizer.empty()) {
    const std::string path = TRY(out.add(paths.tokenizer));
    TRY(write_text(tokenizer, path));
  }
  if (!paths.ptd.empty()) {
    const std::string path = TRY(out.add(paths.ptd));
    TRY(program::write_ptd(program, path, options));
    options.weights = Weights::kPtd;
  }
  TRY(program::write_pte(program, pte, options));
  return out.commit();
}

Status refuse_own_sources(const ExportPaths& paths, const std::vector<std::string>& sources) {
  for (const std::string& path : {paths.pte, paths.ptd, paths.tokenizer}) TRY(refuse_own_source(path, sources));
  return {};
}

// What is read of a checkpoint folder. Programs exported into it are not.
std::vector<std::string> checkpoint_files(const std::string& folder) {
  std::vector<std::string> out;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const fs::path extension = it->path().extension();
    if (extension == ".safetensors" || extension == ".json") out.push_back(it->path().string());
  }
  return out;
}

}  // namespace

Result<ExportPaths> export_paths(const std::string& out, const ExportOptions& options) {
  std::error_code error;
  fs::path pte = out;
  const bool is_folder = out.ends_with('/') || fs::is_directory(pte, error);
  if (is_folder) pte /= "model.pte";
  ExportPaths paths{.pte = pte.string(), .ptd = {}, .tokenizer = {}};
  if (options.ptd) paths.ptd = fs::path(pte).replace_extension(".ptd").string();
  if (is_folder) paths.tokenizer = (pte.parent_path() / "tokenizer.json").string();
  if (paths.ptd == paths.pte) return invalid_argument("{}: the program's name must not end in .ptd", out);
  return paths;
}

Status export_gguf(const std::string& gguf_path, const ExportPaths& paths, const ExportOptions& options,
                   const Progress& progress, std::vector<std::string>* warnings) {
  const auto file = TRY(gguf::File::open(gguf_path));
  TRY(refuse_own_sources(paths, source_files(*file)));
  const program::Program program = TRY(compile_gguf(file, options.compile, warnings));
  const std::string tokenizer = paths.tokenizer.empty() ? std::string() : TRY(tokenizer_json(*file));
  TRY(make_folder(paths));
  program::WriteOptions write;
  write.weights = options.external ? Weights::kReference : Weights::kInside;
  write.progress = progress;
  return write_files(program, tokenizer, paths, write);
}

Status export_checkpoint(const std::string& folder, const ExportPaths& paths, const ExportOptions& options,
                         const Progress& progress, std::vector<std::string>* warnings) {
  if (options.external) return invalid_argument("{}: only the weights of a GGUF file can stay where they are", folder);
  const auto source = TRY(models::HfSource::open(folder, options.checkpoint));
  ExportPaths out = paths;
  const std::string tokenizer_path = (fs::path(folder) / "tokenizer.json").string();
  std::error_code ignored;
  if (!source->has_tokenizer() || fs::equivalent(tokenizer_path, out.tokenizer, ignored)) out.tokenizer.clear();
  TRY(refuse_own_sources(out, checkpoint_files(folder)));
  const program::Program program = TRY(compile_model(*source, options.compile, warnings));
  TRY(make_folder(paths));
  std::string_view tokenizer;
  std::shared_ptr<const MappedFile> file;
  if (!out.tokenizer.empty()) {
    file = TRY(MappedFile::open(tokenizer_path));
    tokenizer = {reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size()};
  }
  return write_files(program, tokenizer, out, {.progress = progress});
}

Status export_model(const std::string& path, const ExportPaths& paths, const ExportOptions& options,
                    const Progress& progress, std::vector<std::string>* warnings) {
  std::error_code ignored;
  const bool is_folder = fs::is_directory(path, ignored);
  return is_folder ? export_checkpoint(path, paths, options, progress, warnings)
                   : export_gguf(path, paths, options, progress, warnings);
}

Status export_pte(const std::string& gguf_path, const std::string& out_path, const ExportOptions& options,
                  const Progress& progress, std::vector<std::string>* warnings) {
  return export_gguf(gguf_path, {.pte = out_path, .ptd = {}, .tokenizer = {}}, options, progress, warnings);
}

}  // namespace tessera::compile
