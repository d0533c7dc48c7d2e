#include "compile/export.h"

#include "gguf/file.h"
#include "program/pte_writer.h"

namespace tessera::compile {

Status export_pte(const std::string& gguf_path, const std::string& out_path, const ExportOptions& options,
                  const Progress& progress, std::vector<std::string>* warnings) {
  using Weights = program::WriteOptions::Weights;
  const auto file = TRY(gguf::File::open(gguf_path));
  const program::Program program = TRY(compile_gguf(file, options.compile, warnings));
  program::WriteOptions write;
  write.weights = options.external ? Weights::kReference : Weights::kInside;
  write.progress = progress;
  return program::write_pte(program, out_path, write);
}

}  // namespace tessera::compile
