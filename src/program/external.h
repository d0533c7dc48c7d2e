// tessera.external: weights that stay in the file they came from. The program names the file, says how to recognise it,
// and where in it each constant lies. Only Tessera reads this; for ExecuTorch such a program lacks its constants.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "program/fields.h"
#include "program/program.h"
#include "program/slots.h"

namespace tessera::program {

inline constexpr std::string_view kExternalKey = "tessera.external";

struct ExternalEntry {
  String key;
  uint64_t offset = 0, size = 0;
  TESSERA_FIELDS(ExternalEntry, key, offset, size)
};

// A file is recognised by its size and by XXH3-64 over its first `header_bytes`: for a GGUF all metadata, names and
// places of tensors, though not the weights themselves.
struct ExternalFile {
  String path;  // relative to the folder of the program, or absolute
  uint64_t size = 0, header_bytes = 0, header_hash = 0;
  RequiredVector<ExternalEntry> entries;
  TESSERA_FIELDS(ExternalFile, path, size, header_bytes, header_hash, entries)
};

struct External {
  RequiredVector<ExternalFile> files;
  TESSERA_FIELDS(External, files)
};

// Collects references for a program that will be written to `program_path`.
class ExternalWriter {
 public:
  explicit ExternalWriter(std::string program_path) : program_path_(std::move(program_path)) {}
  // `data.mapped` must be set.
  void add(const std::string& key, const Data& data);
  bool empty() const { return files_.empty(); }
  std::vector<std::byte> encode() const;

 private:
  std::string program_path_;
  std::vector<const MappedFile*> files_;  // in order of first use
  std::vector<RequiredVector<ExternalEntry>> entries_;
};

using DataMap = std::map<std::string, Data, std::less<>>;

// Maps the named files and borrows the entries. Errors: kNotFound (a file is not there), kInvalidFormat (it is another
// file than the one the program was made from, or an entry does not fit).
Result<DataMap> open_external(std::span<const std::byte> blob, const std::string& program_path);

}  // namespace tessera::program
