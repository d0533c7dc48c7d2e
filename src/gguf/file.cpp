#include "gguf/file.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/check.h"
#include "gguf/header.h"
#include "gguf/layout.h"
#include "gguf/parallel_arrays.h"
#include "gguf/split_name.h"

namespace tessera::gguf {
namespace {

// A part of a split set says which it is; every file is part 0 of 1 otherwise.
struct SplitKeys {
  uint64_t number = 0;
  uint64_t count = 1;
};

Result<SplitKeys> split_keys(const Metadata& metadata) {
  SplitKeys keys;
  keys.number = TRY(metadata.get_u64(kSplitNumberKey, uint64_t{0}));
  keys.count = TRY(metadata.get_u64(kSplitCountKey, uint64_t{1}));
  return keys;
}

// The name of a first part, from which those of the others follow.
Result<SplitName> first_part_name(const std::string& path, const SplitKeys& keys) {
  auto name = parse_split_name(path);
  if (keys.number != 0) {
    if (!name)
      return invalid_argument("{}: part {} of {} of a split file; open the first", path, keys.number + 1, keys.count);
    name->number = 1;
    return invalid_argument("{}: part {} of {} of a split file; open the first, {}", path, keys.number + 1, keys.count,
                            name->path());
  }
  if (!name || name->number != 1 || static_cast<uint64_t>(name->total) != keys.count) {
    return invalid_format("{}: the first of {} parts, but its name does not end in -00001-of-{:05}.gguf", path,
                          keys.count, keys.count);
  }
  return *name;
}

}  // namespace

Result<std::shared_ptr<const File>> File::open(const std::string& path) {
  auto file = std::shared_ptr<File>(new File());
  auto mapping = TRY(MappedFile::open(path));
  TRY(file->add_part(path, mapping->bytes(), mapping, mapping));
  TRY(file->add_other_parts());
  TRY(file->index_tensors());
  return std::shared_ptr<const File>(std::move(file));
}

Result<std::shared_ptr<const File>> File::from_bytes(std::span<const std::byte> bytes, const std::string& name,
                                                     std::shared_ptr<const void> owner) {
  auto file = std::shared_ptr<File>(new File());
  TRY(file->add_part(name, bytes, std::move(owner), nullptr));
  if (TRY(split_keys(file->metadata_)).count > 1) {
    return invalid_argument("{}: one part of a split file, which must be opened by its path", name);
  }
  TRY(file->index_tensors());
  return std::shared_ptr<const File>(std::move(file));
}

Result<Metadata> File::add_part(const std::string& path, std::span<const std::byte> bytes,
                                std::shared_ptr<const void> owner, std::shared_ptr<const MappedFile> mapping) {
  Header header = TRY(parse_header(bytes, path, owner));
  if (parts_.empty()) {
    TRY(check_parallel_arrays(header.metadata, path));
    path_ = path;
    version_ = header.version;
    alignment_ = header.alignment;
    metadata_ = header.metadata;
    owners_ = std::make_shared<std::vector<std::shared_ptr<const void>>>();
  }
  for (TensorInfo& tensor : header.tensors) {
    tensor.part = n_parts();
    tensors_.push_back(std::move(tensor));
  }
  parts_.push_back({path, bytes, header.size_bytes, std::move(mapping)});
  owners_->push_back(std::move(owner));
  return std::move(header.metadata);
}

Status File::add_other_parts() {
  const SplitKeys keys = TRY(split_keys(metadata_));
  if (keys.count <= 1 && keys.number == 0) return {};
  SplitName name = TRY(first_part_name(path_, keys));
  while (parts_.size() < keys.count) {
    ++name.number;
    const std::string path = name.path();
    auto mapping = TRY(MappedFile::open(path));
    const Metadata metadata = TRY(add_part(path, mapping->bytes(), mapping, mapping));
    const SplitKeys found = TRY(split_keys(metadata));
    if (found.number + 1 != parts_.size() || found.count != keys.count) {
      return invalid_format("{}: says it is part {} of {}, expected part {} of {}", path, found.number + 1, found.count,
                            parts_.size(), keys.count);
    }
  }
  const uint64_t n_tensors = TRY(metadata_.get_u64(kSplitTensorsKey, uint64_t{tensors_.size()}));
  if (n_tensors != tensors_.size()) {
    return invalid_format("{}: the {} parts hold {} tensors, expected {} ({})", path_, parts_.size(), tensors_.size(),
                          n_tensors, kSplitTensorsKey);
  }
  return {};
}

// Last, when the names no longer move. Within one part duplicates were found already.
Status File::index_tensors() {
  index_.reserve(tensors_.size());
  for (size_t i = 0; i < tensors_.size(); ++i) {
    const auto [other, inserted] = index_.try_emplace(tensors_[i].name, i);
    if (!inserted) {
      return invalid_format("tensor '{}' appears twice, in {} and {}", tensors_[i].name,
                            parts_[static_cast<size_t>(tensors_[other->second].part)].path,
                            parts_[static_cast<size_t>(tensors_[i].part)].path);
    }
  }
  return {};
}

uint64_t File::size_bytes() const {
  uint64_t size = 0;
  for (const Part& part : parts_) size += part.bytes.size();
  return size;
}

const TensorInfo* File::find(std::string_view name) const {
  const auto it = index_.find(name);
  return it == index_.end() ? nullptr : &tensors_[it->second];
}

std::span<const std::byte> File::bytes(const TensorInfo& tensor) const {
  return parts_[static_cast<size_t>(tensor.part)].bytes.subspan(tensor.offset, tensor.size_bytes);
}

const MappedFile* File::mapping(const TensorInfo& tensor) const {
  return parts_[static_cast<size_t>(tensor.part)].mapping.get();
}

void File::forget(const TensorInfo& tensor, uint64_t offset, uint64_t size) const {
  DCHECK(offset + size <= tensor.size_bytes);
  const auto& mapping = parts_[static_cast<size_t>(tensor.part)].mapping;
  if (mapping) mapping->forget(tensor.offset + offset, size);
}

Identity File::identity() const {
  Identity identity{size_bytes(), 0};
  for (const Part& part : parts_)
    identity.header_hash = XXH3_64bits_withSeed(part.bytes.data(), part.header_bytes, identity.header_hash);
  return identity;
}

}  // namespace tessera::gguf
