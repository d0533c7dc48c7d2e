#include "compile/export.h"

#include <filesystem>

#include "base/file_writer.h"
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

Status write_program(const program::Program& program, const ExportPaths& paths, program::WriteOptions options) {
  if (paths.ptd.empty()) return program::write_pte(program, paths.pte, options);
  TRY(program::write_ptd(program, paths.ptd, options));
  options.weights = Weights::kPtd;
  return program::write_pte(program, paths.pte, options);
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
                   const program::WriteOptions& options) {
  if (!paths.tokenizer.empty()) TRY(write_text(tokenizer, paths.tokenizer));
  const Status status = write_program(program, paths, options);
  if (!status) {
    std::error_code ignored;
    for (const std::string& path : {paths.tokenizer, paths.ptd}) fs::remove(path, ignored);
  }
  return status;
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
  const program::Program program = TRY(compile_model(*source, options.compile, warnings));
  TRY(make_folder(paths));
  ExportPaths out = paths;
  std::string_view tokenizer;
  std::shared_ptr<const MappedFile> file;
  const std::string tokenizer_path = (fs::path(folder) / "tokenizer.json").string();
  std::error_code ignored;
  if (!source->has_tokenizer() || fs::equivalent(tokenizer_path, out.tokenizer, ignored)) out.tokenizer.clear();
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
