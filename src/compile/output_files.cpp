#include "compile/output_files.h"

#include <filesystem>

#include "base/mapped_file.h"

namespace tessera::compile {

namespace fs = std::filesystem;

std::vector<std::string> source_files(const gguf::File& file) {
  std::vector<std::string> out = {file.path()};
  for (const gguf::TensorInfo& tensor : file.tensors()) {  // those of a part follow each other
    const MappedFile* mapping = file.mapping(tensor);
    if (mapping != nullptr && mapping->path() != out.back()) out.push_back(mapping->path());
  }
  return out;
}

Status refuse_own_source(const std::string& out, const std::vector<std::string>& sources) {
  if (out.empty()) return {};
  for (const std::string& source : sources) {
    std::error_code ignored;  // a result that is not there yet is not the source
    if (fs::equivalent(source, out, ignored))
      return invalid_argument("{}: the result would replace its own source", out);
  }
  return {};
}

OutputFiles::~OutputFiles() {
  std::error_code ignored;
  for (const Output& output : outputs_) fs::remove(output.temporary, ignored);
}

Result<std::string> OutputFiles::add(const std::string& path) {
  std::error_code ignored;
  if (fs::exists(path, ignored) && !fs::is_regular_file(path, ignored))
    return make_error(ErrorCode::kIo, "{}: cannot create: not a regular file", path);
  outputs_.push_back({path, path + ".part"});
  return outputs_.back().temporary;
}

Status OutputFiles::commit() {
  for (size_t i = outputs_.size(); i-- > 0;) {
    std::error_code error, ignored;
    fs::rename(outputs_[i].temporary, outputs_[i].path, error);
    if (!error) continue;
    for (size_t done = i + 1; done < outputs_.size(); ++done) fs::remove(outputs_[done].path, ignored);
    return make_error(ErrorCode::kIo, "{}: cannot finish: {}", outputs_[i].path, error.message());
  }
  outputs_.clear();
  return {};
}

}  // namespace tessera::compile
