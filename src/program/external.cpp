#include "program/external.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <filesystem>

#include "base/mapped_file.h"
#include "program/wire.h"

namespace tessera::program {
namespace {

namespace fs = std::filesystem;

// Enough for any GGUF's metadata (a vocabulary of 262144 tokens takes about 15 MB), and read in milliseconds.
constexpr uint64_t kMaxHeaderBytes = uint64_t{32} << 20;

uint64_t hash_header(const MappedFile& file, uint64_t header_bytes) {
  return XXH3_64bits(file.bytes().data(), header_bytes);
}

std::string relative_to_program(const std::string& path, const std::string& program_path) {
  std::error_code error;
  const fs::path folder = fs::absolute(program_path, error).parent_path();
  const fs::path relative = fs::relative(path, folder, error);
  return error || relative.empty() ? path : relative.string();
}

Status check_identity(const ExternalFile& expected, const MappedFile& found) {
  const uint64_t size = found.bytes().size();
  if (size != expected.size) {
    return invalid_format("{} has {} bytes, the program was made from a file of {}", found.path(), size, expected.size);
  }
  if (expected.header_bytes > size) {
    return invalid_format("{}: identity covers {} bytes of {}", found.path(), expected.header_bytes, size);
  }
  const uint64_t hash = hash_header(found, expected.header_bytes);
  if (hash != expected.header_hash) {
    return invalid_format(
        "{} is not the file the program was made from: its header hashes to {:016x}, expected {:016x}", found.path(),
        hash, expected.header_hash);
  }
  return {};
}

}  // namespace

void ExternalWriter::add(const std::string& key, const Data& data) {
  auto it = std::find(files_.begin(), files_.end(), data.mapped);
  if (it == files_.end()) {
    it = files_.insert(files_.end(), data.mapped);
    entries_.emplace_back();
  }
  const auto offset = static_cast<uint64_t>(data.bytes.data() - data.mapped->bytes().data());
  entries_[static_cast<size_t>(it - files_.begin())].push_back({String(key), offset, data.bytes.size()});
}

std::vector<std::byte> ExternalWriter::encode() const {
  External external;
  for (size_t i = 0; i < files_.size(); ++i) {
    const MappedFile& file = *files_[i];
    uint64_t header_bytes = kMaxHeaderBytes;  // what comes before the first weight
    for (const ExternalEntry& entry : entries_[i]) header_bytes = std::min(header_bytes, entry.offset);
    external.files.push_back({.path = String(relative_to_program(file.path(), program_path_)),
                              .size = file.bytes().size(),
                              .header_bytes = header_bytes,
                              .header_hash = hash_header(file, header_bytes),
                              .entries = entries_[i]});
  }
  return wire::encode(external);
}

Result<DataMap> open_external(std::span<const std::byte> blob, const std::string& program_path) {
  const External external = TRY(wire::decode<External>(blob));
  DataMap out;
  for (const ExternalFile& expected : external.files) {
    const fs::path path = fs::path(program_path).parent_path() / expected.path.str();
    const auto file = TRY(MappedFile::open(path.string()));
    TRY(check_identity(expected, *file));
    for (const ExternalEntry& entry : expected.entries) {
      if (entry.offset > expected.size || entry.size > expected.size - entry.offset) {
        return invalid_format("\"{}\": {} bytes at {} reach past the end of {}", entry.key.view(), entry.size,
                              entry.offset, file->path());
      }
      if (!out.emplace(entry.key.str(), Data::borrow(file, entry.offset, entry.size)).second) {
        return invalid_format("\"{}\" is listed twice", entry.key.view());
      }
    }
  }
  return out;
}

}  // namespace tessera::program
