// A GGUF file, or a Hugging Face folder, compiled and written as a .pte: weights are streamed from the mapping to the
// new file, so memory stays small and the time is that of copying the file (and of quantizing, where that is asked
// for).
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "compile/compile.h"
#include "compile/progress.h"
#include "models/hf_source.h"

namespace tessera::compile {

struct ExportOptions {
  CompileOptions compile;
  // Write no weights but the name and identity of the GGUF file they are in: megabytes instead of gigabytes, and the
  // GGUF must be beside the program when it is run.
  bool external = false;
  // Write the weights into a file of their own beside the program.
  bool ptd = false;
  models::HfOptions checkpoint = {};  // of a folder
};

// What an export writes. Empty: no such file.
struct ExportPaths {
  std::string pte, ptd, tokenizer;
};
// `out` is the program to write, or a folder (an existing one, or with a slash at its end) that gets model.pte and
// tokenizer.json, which ExecuTorch's runner needs.
Result<ExportPaths> export_paths(const std::string& out, const ExportOptions& options);

// Makes the folder. The files appear together, when all are whole; after an error none does, and what an earlier export
// wrote is still there. Errors: kInvalidArgument where a file to write is one that is read.
Status export_gguf(const std::string& gguf_path, const ExportPaths& paths, const ExportOptions& options,
                   const Progress& progress = nullptr, std::vector<std::string>* warnings = nullptr);
// `folder` holds config.json, safetensors and maybe tokenizer.json, which is copied.
Status export_checkpoint(const std::string& folder, const ExportPaths& paths, const ExportOptions& options,
                         const Progress& progress = nullptr, std::vector<std::string>* warnings = nullptr);
// Whichever `path` is.
Status export_model(const std::string& path, const ExportPaths& paths, const ExportOptions& options,
                    const Progress& progress = nullptr, std::vector<std::string>* warnings = nullptr);
// The program alone.
Status export_pte(const std::string& gguf_path, const std::string& out_path, const ExportOptions& options,
                  const Progress& progress = nullptr, std::vector<std::string>* warnings = nullptr);

}  // namespace tessera::compile
