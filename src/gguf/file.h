// A GGUF file (v2 or v3), or a set of split files, opened for reading. Opening reads the header only, checks everything
// the header claims against the size of the file, and maps the data: a 20 GB file opens in milliseconds, and weights
// are borrowed from the mapping. Immutable and thread-safe after open().
//
// Read next: gguf/header.h (how a header is parsed and checked), gguf/layout.h (the bytes).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/mapped_file.h"
#include "base/result.h"
#include "gguf/metadata.h"
#include "gguf/tensor_info.h"

namespace tessera::gguf {

// Tells two files apart without reading their weights: a program that names its GGUF stores it.
struct Identity {
  uint64_t size_bytes = 0;  // of all parts together
  uint64_t header_hash =
      0;  // XXH3-64 of the header bytes (magic to the last tensor info); of part i + 1 seeded by part i
  bool operator==(const Identity&) const = default;
};

class File {
 public:
  // Of a split set, `path` names the first part. Errors name the file, and the offset, key or tensor they found.
  static Result<std::shared_ptr<const File>> open(const std::string& path);
  // A whole file already in memory, kept alive by `owner`; a split set cannot be read this way.
  static Result<std::shared_ptr<const File>> from_bytes(std::span<const std::byte> bytes, const std::string& name,
                                                        std::shared_ptr<const void> owner);

  const std::string& path() const { return path_; }  // of the first part
  uint32_t version() const { return version_; }
  uint64_t alignment() const { return alignment_; }
  uint64_t size_bytes() const;  // of all parts
  int n_parts() const { return static_cast<int>(parts_.size()); }

  const Metadata& metadata() const { return metadata_; }
  std::span<const TensorInfo> tensors() const { return tensors_; }  // in file order, part after part
  const TensorInfo* find(std::string_view name) const;              // nullptr: absent

  // The packed data, borrowed from the mapping: valid while keepalive() or the File is held.
  std::span<const std::byte> bytes(const TensorInfo& tensor) const;
  // The mapped file those bytes are part of, null when read from memory. It lives as long as they do.
  const MappedFile* mapping(const TensorInfo& tensor) const;
  std::shared_ptr<const void> keepalive() const { return owners_; }
  // The part of the tensor's data was read for the last time: its pages stop counting as our memory.
  void forget(const TensorInfo& tensor, uint64_t offset, uint64_t size) const;

  Identity identity() const;

 private:
  struct Part {
    std::string path;
    std::span<const std::byte> bytes;  // of the whole file
    uint64_t header_bytes;
    std::shared_ptr<const MappedFile> mapping;  // null when read from memory
  };
  File() = default;
  // Parses a part and takes its tensors, and the first one's metadata; returns the part's own metadata.
  Result<Metadata> add_part(const std::string& path, std::span<const std::byte> bytes,
                            std::shared_ptr<const void> owner, std::shared_ptr<const MappedFile> mapping);
  Status add_other_parts();
  Status index_tensors();

  std::string path_;
  uint32_t version_ = 0;
  uint64_t alignment_ = 0;
  std::vector<Part> parts_;
  Metadata metadata_;
  std::vector<TensorInfo> tensors_;
  std::unordered_map<std::string_view, size_t> index_;                // into tensors_; the views are of its names
  std::shared_ptr<std::vector<std::shared_ptr<const void>>> owners_;  // of each part's bytes
};

}  // namespace tessera::gguf
