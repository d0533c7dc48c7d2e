// What commands that turn one model file into others owe their user: no output replaces an input, and a run that fails
// leaves the files of an earlier one as they were.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "gguf/file.h"

namespace tessera::compile {

// Every file that `file` was read from.
std::vector<std::string> source_files(const gguf::File& file);

// kInvalidArgument where `out` is one of `sources`, by whatever name. An empty `out` is no file.
Status refuse_own_source(const std::string& out, const std::vector<std::string>& sources);

// Files that appear together: each is written under another name, and takes its own when all are whole, the first one
// last: who sees it finds the others.
class OutputFiles {
 public:
  OutputFiles() = default;
  OutputFiles(const OutputFiles&) = delete;
  OutputFiles& operator=(const OutputFiles&) = delete;
  // Removes what was not committed.
  ~OutputFiles();

  // The name, in the same folder, under which `path` is to be written. Errors: kIo for what no file can replace.
  Result<std::string> add(const std::string& path);
  // Errors: kIo; the files that had got their names by then are removed.
  Status commit();

 private:
  struct Output {
    std::string path, temporary;
  };
  std::vector<Output> outputs_;
};

}  // namespace tessera::compile
