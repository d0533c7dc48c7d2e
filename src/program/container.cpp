#include "program/container.h"

#include <cstring>
#include <limits>

#include "base/checked_math.h"

namespace tessera::program {
namespace {

constexpr size_t kMinFileBytes = 64;  // loaders read this much before anything else
constexpr size_t kSplicePosition = 8;
constexpr std::string_view kPteIdentifier = "ET12", kPteMagic = "eh00";
constexpr std::string_view kPtdIdentifier = "FT01", kPtdMagic = "FH01";
constexpr uint32_t kPteHeaderBytes = 32, kPteOldHeaderBytes = 24;  // the old one lacks segment_bytes
constexpr uint32_t kPtdHeaderBytes = 40, kPtdBlockBytes = 48;
// Vectors of a container hold file bytes; the buffer's size bounds them.
constexpr uint64_t kAnyLength = std::numeric_limits<uint32_t>::max();

template <typename T>
T load(std::span<const std::byte> bytes, size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

template <typename T>
void store(std::vector<std::byte>& bytes, size_t offset, T value) {
  std::memcpy(bytes.data() + offset, &value, sizeof(T));
}

bool has_text(std::span<const std::byte> bytes, size_t offset, std::string_view text) {
  return std::memcmp(bytes.data() + offset, text.data(), text.size()) == 0;
}

Status check_start(std::span<const std::byte> bytes, std::string_view identifier) {
  if (bytes.size() < kMinFileBytes) {
    return invalid_format("file of {} bytes, the smallest possible has {}", bytes.size(), kMinFileBytes);
  }
  if (!has_text(bytes, 4, identifier)) return invalid_format("offset 4: file identifier is not \"{}\"", identifier);
  return {};
}

Status check_extent(const ContainerHeader& header, uint64_t file_bytes) {
  if (header.flatbuffer_end > file_bytes) {
    return invalid_format("header: the flatbuffer ends at {}, the file has {} bytes", header.flatbuffer_end,
                          file_bytes);
  }
  const auto end = checked_add(header.segment_base, header.segment_bytes);
  if (!end || *end > file_bytes) {
    return invalid_format("header: segments of {} bytes start at {}, the file has {} bytes", header.segment_bytes,
                          header.segment_base, file_bytes);
  }
  return {};
}

Result<ContainerHeader> read_pte_header(std::span<const std::byte> bytes) {
  TRY(check_start(bytes, kPteIdentifier));
  ContainerHeader header{.flatbuffer_end = bytes.size()};
  if (!has_text(bytes, 8, kPteMagic)) return header;
  header.length = load<uint32_t>(bytes, 12);
  if (header.length < kPteOldHeaderBytes) {
    return invalid_format("offset 12: extended header of {} bytes, expected at least {}", header.length,
                          kPteOldHeaderBytes);
  }
  header.flatbuffer_end = load<uint64_t>(bytes, 16);
  header.segment_base = load<uint64_t>(bytes, 24);
  if (header.length >= kPteHeaderBytes) header.segment_bytes = load<uint64_t>(bytes, 32);
  TRY(check_extent(header, bytes.size()));
  return header;
}

Result<ContainerHeader> read_ptd_header(std::span<const std::byte> bytes) {
  TRY(check_start(bytes, kPtdIdentifier));
  if (!has_text(bytes, 8, kPtdMagic)) return invalid_format("offset 8: header magic is not \"{}\"", kPtdMagic);
  ContainerHeader header{.length = load<uint32_t>(bytes, 12)};
  if (header.length < kPtdHeaderBytes) {
    return invalid_format("offset 12: header of {} bytes, expected at least {}", header.length, kPtdHeaderBytes);
  }
  const auto end = checked_add(load<uint64_t>(bytes, 16), load<uint64_t>(bytes, 24));
  if (!end) return invalid_format("offset 16: flatbuffer offset and size overflow");
  header.flatbuffer_end = *end;
  header.segment_base = load<uint64_t>(bytes, 32);
  header.segment_bytes = load<uint64_t>(bytes, 40);
  TRY(check_extent(header, bytes.size()));
  return header;
}

template <typename Table>
Result<Table> read_table(std::span<const std::byte> bytes, const ContainerHeader& header) {
  const auto flatbuffer = bytes.first(header.flatbuffer_end);
  const auto root = load<uint32_t>(bytes, 0);
  if (root < kSplicePosition || uint64_t{root} + sizeof(uint32_t) > flatbuffer.size()) {
    return invalid_format("offset 0: root offset {} must be in {} to {}", root, kSplicePosition,
                          static_cast<int64_t>(flatbuffer.size()) - 4);
  }
  return wire::decode<Table>(flatbuffer, {.max_elements = kAnyLength});
}

Result<Segments> read_segments(std::span<const std::byte> bytes, const ContainerHeader& header,
                               const std::vector<pte::DataSegment>& segments) {
  Segments out;
  for (const pte::DataSegment& segment : segments) {
    const auto begin = checked_add(header.segment_base, segment.offset);
    const auto end = begin ? checked_add(*begin, segment.size) : std::nullopt;
    if (!end || *end > bytes.size()) {
      return invalid_format("segment {}: {} bytes at {} + {} reach past the end of the file ({} bytes)",
                            out.list.size(), segment.size, header.segment_base, segment.offset, bytes.size());
    }
    if (segment.size > 0 && header.segment_base == 0) {
      return invalid_format("segment {} has {} bytes, but the header gives no segment base", out.list.size(),
                            segment.size);
    }
    out.list.push_back({*begin, bytes.subspan(*begin, segment.size)});
  }
  return out;
}

// Inserts `block` (whose size keeps 16-byte alignment) behind the identifier. Only the root offset notices.
std::vector<std::byte> splice(std::vector<std::byte> flatbuffer, const std::vector<std::byte>& block) {
  store(flatbuffer, 0, static_cast<uint32_t>(load<uint32_t>(flatbuffer, 0) + block.size()));
  flatbuffer.insert(flatbuffer.begin() + kSplicePosition, block.begin(), block.end());
  return flatbuffer;
}

std::vector<std::byte> start_block(size_t size, std::string_view magic, uint32_t header_length) {
  std::vector<std::byte> block(size);
  std::memcpy(block.data(), magic.data(), magic.size());
  store(block, 4, header_length);
  return block;
}

uint64_t end_of(const std::vector<pte::DataSegment>& segments) {
  uint64_t end = 0;
  for (const auto& segment : segments) end = std::max(end, segment.offset + segment.size);
  return end;
}

}  // namespace

Result<Segments::Segment> Segments::at(uint64_t index, std::string_view what) const {
  if (index < list.size()) return list[index];
  return invalid_format("{} is in segment {}, the file has {}", what, index, list.size());
}

Result<PteFile> PteFile::open(std::span<const std::byte> bytes) {
  PteFile file;
  file.header = TRY(read_pte_header(bytes));
  file.table = TRY(read_table<pte::Program>(bytes, file.header));
  const pte::Program& table = file.table;
  if (table.execution_plan.empty()) return invalid_format("Program.execution_plan is empty");
  if (table.named_data && !table.segments) return invalid_format("Program.named_data without segments");
  if (table.segments) file.segments = TRY(read_segments(bytes, file.header, *table.segments));
  const bool has_constants =
      table.constant_segment && table.constant_segment->offsets.value_or(std::vector<uint64_t>()).size() >= 2;
  if (has_constants) {
    TRY(file.segments.at(table.constant_segment->segment_index, "constant_segment"));
    if (table.constant_buffer && !table.constant_buffer->empty()) {
      return invalid_format("constants are both in constant_segment and in constant_buffer");
    }
  }
  return file;
}

Result<PtdFile> PtdFile::open(std::span<const std::byte> bytes) {
  PtdFile file;
  file.header = TRY(read_ptd_header(bytes));
  file.table = TRY(read_table<ptd::FlatTensor>(bytes, file.header));
  if (file.table.version != 0) return not_implemented("FlatTensor.version is {}, expected 0", file.table.version);
  file.segments = TRY(read_segments(bytes, file.header, file.table.segments));
  return file;
}

std::vector<std::byte> encode_container(const pte::Program& table, uint64_t alignment) {
  auto flatbuffer = wire::encode(table, {.share = false, .identifier = kPteIdentifier.data()});
  const uint64_t flatbuffer_end = flatbuffer.size() + kPteHeaderBytes;
  const uint64_t segment_base = align_up(flatbuffer_end, alignment);
  auto block = start_block(kPteHeaderBytes, kPteMagic, kPteHeaderBytes);
  store(block, 8, flatbuffer_end);
  store(block, 16, segment_base);
  store(block, 24, end_of(table.segments.value_or(std::vector<pte::DataSegment>())));
  auto out = splice(std::move(flatbuffer), block);
  out.resize(segment_base);
  return out;
}

std::vector<std::byte> encode_container(const ptd::FlatTensor& table, uint64_t alignment) {
  auto flatbuffer = wire::encode(table, {.share = false, .identifier = kPtdIdentifier.data()});
  const uint64_t segment_base = align_up<uint64_t>(flatbuffer.size() + kPtdBlockBytes, alignment);
  auto block = start_block(kPtdBlockBytes, kPtdMagic, kPtdHeaderBytes);
  store(block, 8, uint64_t{kPtdBlockBytes});
  store(block, 16, uint64_t{flatbuffer.size()});
  store(block, 24, segment_base);
  store(block, 32, end_of(table.segments));
  auto out = splice(std::move(flatbuffer), block);
  out.resize(segment_base);
  return out;
}

}  // namespace tessera::program
