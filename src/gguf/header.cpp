#include "gguf/header.h"

#include <algorithm>
#include <bit>
#include <unordered_set>

#include "base/byte_reader.h"
#include "base/checked_math.h"
#include "gguf/layout.h"
#include "gguf/value_codec.h"

namespace tessera::gguf {
namespace {

Result<uint32_t> read_version(ByteReader& in) {
  const uint32_t magic = TRY(in.read<uint32_t>("the magic"));
  if (magic != kMagic) {
    return invalid_format("{}: not a GGUF file: it begins with {:#010x}, expected {:#010x} (\"GGUF\")", in.source(),
                          __builtin_bswap32(magic), __builtin_bswap32(kMagic));
  }
  const uint32_t version = TRY(in.read<uint32_t>("the version"));
  // No flag tells the byte order; a small number whose low half is zero was written the other way round.
  if (version != 0 && (version & 0xffffu) == 0) {
    return not_implemented("{}: byte order: the file is big-endian (version {:#010x}), only little-endian is supported",
                           in.source(), version);
  }
  if (version < kOldestVersion || version > kVersion) {
    return not_implemented("{}: GGUF version {}, supported are {} to {}", in.source(), version, kOldestVersion,
                           kVersion);
  }
  return version;
}

Result<uint64_t> read_count(ByteReader& in, std::string_view what, uint64_t min_bytes_each) {
  const uint64_t count = TRY(in.read<uint64_t>(what));
  if (count > in.remaining() / min_bytes_each) {
    return invalid_format("{}: {} is {}, but the file has only {} bytes left", in.source(), what, count,
                          in.remaining());
  }
  return count;
}

Status read_entry(ByteReader& in, Metadata& metadata, const std::shared_ptr<const void>& owner) {
  const size_t offset = in.offset();
  const std::string_view key = TRY(read_string(in, kMaxKeyBytes, "a metadata key"));
  if (key.empty()) return invalid_format("{}: offset {}: a metadata key is empty", in.source(), offset);
  if (metadata.contains(key)) {
    return invalid_format("{}: offset {}: key '{}' appears twice", in.source(), offset, key);
  }
  metadata.set(key, TRY(read_value(in, fmt::format("the value of '{}'", key), owner)));
  return {};
}

// Name, dims, type and offset as stored: the offset still counts from the data section.
Result<TensorInfo> read_tensor_info(ByteReader& in) {
  const size_t offset = in.offset();
  TensorInfo tensor;
  tensor.name = TRY(read_string(in, kMaxNameBytes, "a tensor name"));
  const uint32_t n_dims = TRY(in.read<uint32_t>("a number of dimensions"));
  if (n_dims > kMaxDims) {
    return invalid_format("{}: offset {}: tensor '{}' has {} dimensions, at most {} are allowed", in.source(), offset,
                          tensor.name, n_dims, kMaxDims);
  }
  for (uint32_t i = 0; i < n_dims; ++i) tensor.dims.push_back(TRY(in.read<int64_t>("a dimension")));
  const uint32_t code = TRY(in.read<uint32_t>("a tensor type"));
  tensor.format = quant::find_format(static_cast<quant::GgmlType>(code));
  if (!tensor.format) {
    return not_implemented("{}: offset {}: tensor '{}' has the unknown type {}", in.source(), offset, tensor.name,
                           code);
  }
  auto size = checked_size(tensor.name, *tensor.format, tensor.dims);
  if (!size) return size.error().in(fmt::format("{}: offset {}", in.source(), offset));
  tensor.size_bytes = *size;
  tensor.offset = TRY(in.read<uint64_t>("a tensor offset"));
  return tensor;
}

Result<std::vector<TensorInfo>> read_tensor_infos(ByteReader& in, uint64_t count) {
  std::vector<TensorInfo> tensors;
  tensors.reserve(static_cast<size_t>(count));
  std::unordered_set<std::string> names;
  for (uint64_t i = 0; i < count; ++i) {
    tensors.push_back(TRY(read_tensor_info(in)));
    if (!names.insert(tensors.back().name).second) {
      return invalid_format("{}: tensor '{}' appears twice", in.source(), tensors.back().name);
    }
  }
  return tensors;
}

// Turns offsets from the data section into offsets from the start of the file, and checks where the tensors lie. Any
// order and any gaps are accepted; ggml's own reader wants them back to back.
Status place_tensors(Header& header, uint64_t file_bytes, const std::string& source) {
  const auto data_start = checked_align_up(header.size_bytes, header.alignment);
  for (TensorInfo& tensor : header.tensors) {
    if (tensor.offset % header.alignment != 0) {
      return invalid_format("{}: tensor '{}' is at offset {} of the data, not a multiple of the alignment {}", source,
                            tensor.name, tensor.offset, header.alignment);
    }
    const auto begin = data_start ? checked_add(*data_start, tensor.offset) : std::nullopt;
    const auto end = begin ? checked_add(*begin, tensor.size_bytes) : std::nullopt;
    if (!end || *end > file_bytes) {
      return invalid_format(
          "{}: tensor '{}' ({} bytes at offset {} of the data) ends past the end of the file ({} "
          "bytes); was the download interrupted?",
          source, tensor.name, tensor.size_bytes, tensor.offset, file_bytes);
    }
    tensor.offset = *begin;
  }
  return {};
}

Status check_no_overlap(const std::vector<TensorInfo>& tensors, const std::string& source) {
  std::vector<const TensorInfo*> by_offset;
  by_offset.reserve(tensors.size());
  for (const TensorInfo& tensor : tensors) by_offset.push_back(&tensor);
  std::sort(by_offset.begin(), by_offset.end(), [](auto* a, auto* b) { return a->offset < b->offset; });
  for (size_t i = 1; i < by_offset.size(); ++i) {
    const TensorInfo& before = *by_offset[i - 1];
    if (before.offset + before.size_bytes > by_offset[i]->offset) {
      return invalid_format("{}: tensors '{}' and '{}' overlap at offset {}", source, before.name, by_offset[i]->name,
                            by_offset[i]->offset);
    }
  }
  return {};
}

}  // namespace

Result<uint64_t> alignment_of(const Metadata& metadata, const std::string& source) {
  const Value* value = metadata.find(kAlignmentKey);
  if (!value) return kDefaultAlignment;
  if (value->type() != ValueType::kU32) {
    return invalid_format("{}: key '{}': expected u32, found {}", source, kAlignmentKey, name_of(value->type()));
  }
  const uint64_t alignment = TRY(value->as_u64());
  if (!std::has_single_bit(alignment)) {
    return invalid_format("{}: key '{}': expected a power of two, found {}", source, kAlignmentKey, alignment);
  }
  return alignment;
}

Result<Header> parse_header(std::span<const std::byte> bytes, const std::string& source,
                            const std::shared_ptr<const void>& owner) {
  ByteReader in(bytes, source);
  Header header;
  header.metadata = Metadata(source);
  header.version = TRY(read_version(in));
  const uint64_t n_tensors = TRY(read_count(in, "the number of tensors", kMinTensorInfoBytes));
  const uint64_t n_entries = TRY(read_count(in, "the number of metadata entries", kMinEntryBytes));
  for (uint64_t i = 0; i < n_entries; ++i) TRY(read_entry(in, header.metadata, owner));
  header.alignment = TRY(alignment_of(header.metadata, source));
  header.tensors = TRY(read_tensor_infos(in, n_tensors));
  header.size_bytes = in.offset();
  TRY(place_tensors(header, bytes.size(), source));
  TRY(check_no_overlap(header.tensors, source));
  return header;
}

}  // namespace tessera::gguf
