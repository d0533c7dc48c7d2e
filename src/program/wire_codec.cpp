#include "program/wire_codec.h"

namespace tessera::program::wire {
namespace {

template <typename Byte>
auto at(Byte* table, ptrdiff_t place) {
  using Char = std::conditional_t<std::is_const_v<Byte>, const char, char>;
  return static_cast<Byte*>(static_cast<Char*>(table) + place);
}

}  // namespace

Offset Encoder::write(const TableCodec& codec, const void* table) {
  std::vector<Offset> children;
  children.reserve(codec.fields.size());
  for (const auto& field : codec.fields) children.push_back(field.codec->write_child(*this, at(table, field.place)));
  inline_fields_.clear();
  for (const size_t width : {8, 4, 2, 1}) {  // wide fields first: no padding between them
    for (size_t i = 0; i < codec.fields.size(); ++i) {
      const auto& [id, place, field] = codec.fields[i];
      field->add(*this, width, id, at(table, place), at(codec.defaults, place), children[i]);
    }
  }
  std::string key = "table";
  for (const auto& [id, bits, width, is_offset] : inline_fields_) {
    const uint64_t words[] = {id, bits, 2 * width + is_offset};
    key.append(reinterpret_cast<const char*>(words), sizeof(words));
  }
  return once(std::move(key), [this] { return write_inline_fields(); });
}

Offset Encoder::write_inline_fields() {
  const auto start = builder_.StartTable();
  for (const auto& [id, bits, width, is_offset] : inline_fields_) {
    const auto slot = static_cast<flatbuffers::voffset_t>(4 + 2 * id);
    if (is_offset)
      builder_.AddOffset(slot, flatbuffers::Offset<void>(static_cast<Offset>(bits)));
    else if (width == 8)
      builder_.AddElement(slot, bits);
    else if (width == 4)
      builder_.AddElement(slot, static_cast<uint32_t>(bits));
    else if (width == 2)
      builder_.AddElement(slot, static_cast<uint16_t>(bits));
    else
      builder_.AddElement(slot, static_cast<uint8_t>(bits));
  }
  return builder_.EndTable(start);
}

Offset Encoder::write(const String& text) {
  return share_ ? builder_.CreateSharedString(text.str()).o : builder_.CreateString(text.str()).o;
}

Offset Encoder::write(Bytes bytes) {
  builder_.ForceVectorAlignment(bytes.size(), 1, 16);
  return builder_.CreateVector(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()).o;
}

std::vector<std::byte> Encoder::finish(Offset root, const char* identifier) {
  builder_.Finish(flatbuffers::Offset<void>(root), identifier);
  const auto* begin = reinterpret_cast<const std::byte*>(builder_.GetBufferPointer());
  return {begin, begin + builder_.GetSize()};
}

Status Decoder::read(const TableCodec& codec, size_t pos, void* table) {
  const auto source = TRY(in.table(pos));
  for (size_t i = 0; i < codec.fields.size(); ++i) {
    const auto& [id, place, field] = codec.fields[i];
    Status status = field->read(*this, source, id, at(table, place));
    if (!status) return status.error().in(fmt::format("{}.{}", codec.name, field_name(codec.field_names, i)));
  }
  return {};
}

Status Decoder::read(size_t pos, String& out) {
  out = TRY(in.string(pos));
  return {};
}

Status Decoder::read(size_t pos, Bytes& out) {
  out = in.bytes(TRY(in.vector(pos, 1)));
  return {};
}

Result<Decoder::UnionValue> Decoder::read_union(const Reader::Table& table, size_t id, size_t last_tag) {
  const size_t tag_pos = TRY(in.field(table, id, 1));
  const size_t pos = TRY(in.field(table, id + 1, sizeof(uint32_t)));
  const size_t tag = tag_pos == 0 ? 0 : in.load<uint8_t>(tag_pos);
  if (tag > last_tag) {
    return not_implemented("{}: this build knows 1 to {}, the file follows a newer schema",
                           in.error(tag_pos, "union tag {} is unknown", tag).message, last_tag);
  }
  if ((tag == 0) != (pos == 0)) return in.error(table.pos, "union tag {} {} a value", tag, pos ? "with" : "without");
  if (tag == 0) return in.error(table.pos, "required union is missing");
  const size_t target = TRY(in.follow(pos));
  return UnionValue{tag, target};
}

}  // namespace tessera::program::wire
