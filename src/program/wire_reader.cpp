#include "program/wire_reader.h"

#include <algorithm>

namespace tessera::program::wire {
namespace {

// The limit of the verifier ExecuTorch runs. (Its depth limit needs no counterpart: our table types do not recurse.)
constexpr uint64_t kMaxTables = 1'000'000;
// Tables and vectors may be shared, so a small file could unfold into terabytes. Each byte may be visited this many
// times on average.
constexpr uint64_t kMaxVisits = 16;
// Our writer shares all it can: a chain of equal kernels takes 4 bytes for each and unfolds to 600. As many as
// kMaxTables allows come to 50 MB, so this much is always granted.
constexpr uint64_t kMinUnfoldedBytes = uint64_t{64} << 20;
constexpr uint64_t kMaxBuffer = uint64_t{1} << 31;  // offsets are signed 32 bit where they point backwards

}  // namespace

Reader::Reader(std::span<const std::byte> buffer, uint64_t file_offset, uint64_t max_elements)
    : buffer_(buffer.first(std::min<size_t>(buffer.size(), kMaxBuffer - 1))),
      file_offset_(file_offset),
      max_elements_(max_elements),
      tables_left_(kMaxTables),
      bytes_left_(std::max<uint64_t>(buffer_.size() * kMaxVisits, kMinUnfoldedBytes)) {}

Status Reader::require(size_t pos, size_t size, size_t alignment, const char* what) const {
  if (pos % alignment != 0) return error(pos, "{} must be aligned to {} bytes", what, alignment);
  if (pos > buffer_.size() || size > buffer_.size() - pos) {
    return error(pos, "{} of {} bytes reaches past the end of the flatbuffer ({} bytes)", what, size, buffer_.size());
  }
  return {};
}

Status Reader::charge(size_t pos, size_t bytes) {
  if (bytes > bytes_left_)
    return error(pos, "tables and vectors are shared too often: they unfold to more than {} bytes",
                 std::max<uint64_t>(buffer_.size() * kMaxVisits, kMinUnfoldedBytes));
  bytes_left_ -= bytes;
  return {};
}

Result<size_t> Reader::root() { return follow(0); }

Result<size_t> Reader::follow(size_t pos) {
  TRY(require(pos, sizeof(uint32_t), sizeof(uint32_t), "offset"));
  const auto distance = load<uint32_t>(pos);
  if (distance == 0 || distance >= kMaxBuffer) return error(pos, "offset {} leads nowhere", distance);
  return pos + distance;  // checked by whoever reads there
}

Result<Reader::Table> Reader::table(size_t pos) {
  if (tables_left_ == 0) return error(pos, "more than {} tables", kMaxTables);
  --tables_left_;
  TRY(require(pos, sizeof(int32_t), sizeof(int32_t), "table"));
  const int64_t vtable = static_cast<int64_t>(pos) - load<int32_t>(pos);
  if (vtable < 0) return error(pos, "vtable lies {} bytes before the flatbuffer", -vtable);
  Table out{pos, static_cast<size_t>(vtable), 0, 0};
  TRY(require(out.vtable, 2 * sizeof(uint16_t), sizeof(uint16_t), "vtable"));
  out.vtable_bytes = load<uint16_t>(out.vtable);
  out.table_bytes = load<uint16_t>(out.vtable + sizeof(uint16_t));
  if (out.vtable_bytes < 4 || out.vtable_bytes % 2 != 0) {
    return error(out.vtable, "vtable size {} must be even and at least 4", out.vtable_bytes);
  }
  if (out.table_bytes < sizeof(int32_t)) return error(out.vtable, "table size {} must be at least 4", out.table_bytes);
  TRY(require(out.vtable, out.vtable_bytes, sizeof(uint16_t), "vtable"));
  TRY(require(pos, out.table_bytes, sizeof(int32_t), "table"));
  TRY(charge(pos, out.table_bytes));
  return out;
}

Result<size_t> Reader::field(const Table& table, size_t id, size_t size) {
  const size_t slot = 4 + 2 * id;
  if (slot + sizeof(uint16_t) > table.vtable_bytes) return size_t{0};  // written by an older schema
  const auto offset = load<uint16_t>(table.vtable + slot);
  if (offset == 0) return size_t{0};
  if (offset < sizeof(int32_t) || offset + size > table.table_bytes) {
    return error(table.vtable + slot, "field of {} bytes at {} is outside its table of {} bytes", size, offset,
                 table.table_bytes);
  }
  TRY(require(table.pos + offset, size, size, "field"));
  return table.pos + offset;
}

Result<Reader::Vector> Reader::vector(size_t pos, size_t element_size) {
  TRY(require(pos, sizeof(uint32_t), sizeof(uint32_t), "vector"));
  const auto count = load<uint32_t>(pos);
  if (count > max_elements_) return error(pos, "vector of {} elements, at most {} are allowed", count, max_elements_);
  const Vector out{pos + sizeof(uint32_t), count};
  TRY(require(out.pos, count * element_size, count == 0 ? 1 : element_size, "vector"));
  TRY(charge(pos, count * element_size));
  return out;
}

Result<String> Reader::string(size_t pos) {
  if (const auto it = strings_.find(pos); it != strings_.end()) return it->second;
  TRY(require(pos, sizeof(uint32_t), sizeof(uint32_t), "string"));
  const size_t size = load<uint32_t>(pos), begin = pos + sizeof(uint32_t);
  TRY(require(begin, size + 1, 1, "string"));
  if (load<char>(begin + size) != '\0') return error(begin + size, "string of {} bytes does not end in a zero", size);
  TRY(charge(pos, size));
  String text(std::string(reinterpret_cast<const char*>(buffer_.data()) + begin, size));
  strings_.emplace(pos, text);
  return text;
}

}  // namespace tessera::program::wire
