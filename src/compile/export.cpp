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

Status write_tokenizer(const gguf::File& file, const std::string& path) {
  const text::Vocabulary vocabulary = TRY(vocabulary_from_gguf(file));
  const std::string json = TRY(text::to_tokenizer_json(vocabulary));
  FileWriter out = TRY(FileWriter::create(path));
  TRY(out.write(json.data(), json.size()));
  return out.commit();
}

Status write_files(const gguf::File& file, const program::Program& program, const ExportPaths& paths,
                   program::WriteOptions options) {
  if (!paths.tokenizer.empty()) {
    std::error_code error;
    const fs::path folder = fs::path(paths.tokenizer).parent_path();
    fs::create_directories(folder, error);
    if (error) return make_error(ErrorCode::kIo, "{}: cannot make the folder: {}", folder.string(), error.message());
    // Before the weights: what is wrong with it shows before gigabytes are written.
    TRY(write_tokenizer(file, paths.tokenizer));
  }
  if (paths.ptd.empty()) return program::write_pte(program, paths.pte, options);
  TRY(program::write_ptd(program, paths.ptd, options));
  options.weights = Weights::kPtd;
  return program::write_pte(program, paths.pte, options);
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
  program::WriteOptions write;
  write.weights = options.external ? Weights::kReference : Weights::kInside;
  write.progress = progress;
  const Status status = write_files(*file, program, paths, write);
  if (!status) {
    std::error_code ignored;
    for (const std::string& path : {paths.tokenizer, paths.ptd}) fs::remove(path, ignored);
  }
  return status;
}

Status export_pte(const std::string& gguf_path, const std::string& out_path, const ExportOptions& options,
                  const Progress& progress, std::vector<std::string>* warnings) {
  return export_gguf(gguf_path, {.pte = out_path, .ptd = {}, .tokenizer = {}}, options, progress, warnings);
}

}  // namespace tessera::compile
