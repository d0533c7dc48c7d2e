#include "gguf/writer.h"

#include <set>

#include "base/check.h"
#include "base/checked_math.h"
#include "gguf/header.h"
#include "gguf/layout.h"
#include "gguf/tensor_info.h"
#include "gguf/value_codec.h"

namespace tessera::gguf {
namespace {

using Bytes = std::vector<std::byte>;

template <typename T>
void append(Bytes& out, T value) {
  append_bytes(out, &value, sizeof(value));
}

Status append_metadata(Bytes& out, const Metadata& metadata) {
  for (const auto& [key, value] : metadata.entries()) {
    if (key.empty() || key.size() > kMaxKeyBytes) {
      return invalid_argument("a metadata key has 1 to {} bytes, this one {}", kMaxKeyBytes, key.size());
    }
    append_string(out, key);
    const auto status = append_value(out, value);
    if (!status) return status.error().in(fmt::format("key '{}'", key));
  }
  return {};
}

// Tensors stand back to back, each padded to the alignment. Returns their sizes.
Result<std::vector<uint64_t>> append_tensor_infos(Bytes& out, const std::vector<TensorDeclaration>& tensors,
                                                  uint64_t alignment) {
  std::vector<uint64_t> sizes;
  std::set<std::string_view> names;
  uint64_t offset = 0;
  for (const TensorDeclaration& tensor : tensors) {
    CHECK(tensor.format);
    sizes.push_back(TRY(checked_size(tensor.name, *tensor.format, tensor.dims)));
    if (!names.insert(tensor.name).second) return invalid_argument("tensor '{}' is declared twice", tensor.name);
    append_string(out, tensor.name);
    append(out, static_cast<uint32_t>(tensor.dims.size()));
    for (const int64_t dim : tensor.dims) append(out, dim);
    append(out, static_cast<uint32_t>(tensor.format->type));
    append(out, offset);
    offset = align_up(offset + sizes.back(), alignment);
  }
  return sizes;
}

}  // namespace

Result<Writer> Writer::create(const std::string& path, const Metadata& metadata,
                              std::vector<TensorDeclaration> tensors) {
  const uint64_t alignment = TRY(alignment_of(metadata, path));
  Bytes header;
  append(header, kMagic);
  append(header, kVersion);
  append(header, uint64_t{tensors.size()});
  append(header, uint64_t{metadata.entries().size()});
  auto status = append_metadata(header, metadata);
  if (!status) return status.error().in(path);
  auto sizes = append_tensor_infos(header, tensors, alignment);
  if (!sizes) return sizes.error().in(path);
  auto file = TRY(FileWriter::create(path));
  TRY(file.write(header));
  if (!tensors.empty()) TRY(file.pad_to(alignment));
  return Writer(std::move(file), std::move(*sizes), alignment);
}

Writer::Writer(FileWriter file, std::vector<uint64_t> sizes, uint64_t alignment)
    : file_(std::move(file)), sizes_(std::move(sizes)), alignment_(alignment) {}

Status Writer::write(std::span<const std::byte> piece) {
  CHECK(current_ < sizes_.size() && piece.size() <= sizes_[current_] - written_bytes_);
  TRY(file_.write(piece));
  written_bytes_ += piece.size();
  if (written_bytes_ < sizes_[current_]) return {};
  ++current_;
  written_bytes_ = 0;
  return file_.pad_to(alignment_);
}

Status Writer::commit() {
  CHECK(current_ == sizes_.size());
  return file_.commit();
}

uint64_t Writer::data_bytes() const {
  uint64_t size = 0;
  for (const uint64_t tensor : sizes_) size += tensor;
  return size;
}

}  // namespace tessera::gguf
