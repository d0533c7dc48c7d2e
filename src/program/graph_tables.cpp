#include "program/graph_tables.h"

#include "program/sizes.h"

namespace tessera::program::wire {
namespace {

constexpr std::string_view kNoVid = "is_vid is set but vid is missing";

// IntOrVid and FloatOrVid differ in the literal's type only.
template <typename Table, typename Operand>
Table operand_to_wire(const Operand& value) {
  if (value.is_vid) return {.literal = 0, .vid = value.vid, .is_vid = true};
  return {.literal = value.literal, .vid = std::nullopt, .is_vid = false};
}
template <typename Table, typename Operand>
std::string_view operand_from_wire(const Table& table, Operand& out) {
  if (table.is_vid && !table.vid) return kNoVid;
  out = table.is_vid ? Operand(*table.vid) : Operand(table.literal);
  return {};
}

}  // namespace

IntOrVidTable Twin<IntOrVid>::to_wire(const IntOrVid& value) { return operand_to_wire<Table>(value); }
std::string_view Twin<IntOrVid>::from_wire(Table table, IntOrVid& out) { return operand_from_wire(table, out); }

FloatOrVidTable Twin<FloatOrVid>::to_wire(const FloatOrVid& value) { return operand_to_wire<Table>(value); }
std::string_view Twin<FloatOrVid>::from_wire(Table table, FloatOrVid& out) { return operand_from_wire(table, out); }

VidOrTidTable Twin<VidOrTid>::to_wire(const VidOrTid& value) {
  if (value.is_vid) return {.vid = value.vid, .tid = std::nullopt, .is_vid = true};
  return {.vid = std::nullopt, .tid = value.tid, .is_vid = false};
}
std::string_view Twin<VidOrTid>::from_wire(Table table, VidOrTid& out) {
  if (table.is_vid && !table.vid) return kNoVid;
  if (!table.is_vid && !table.tid) return "is_vid is not set but tid is missing";
  out = table.is_vid ? VidOrTid(*table.vid) : VidOrTid(*table.tid);
  return {};
}

IntOrVidOrTidTable Twin<IntOrVidOrTid>::to_wire(const IntOrVidOrTid& value) {
  using Kind = IntOrVidOrTid::Kind;
  Table table;
  table.kind = static_cast<uint8_t>(value.kind);
  if (value.kind == Kind::kLiteral) table.literal = value.literal;
  if (value.kind == Kind::kVid) table.vid = value.vid;
  if (value.kind == Kind::kTid) table.tid = value.tid;
  return table;
}
std::string_view Twin<IntOrVidOrTid>::from_wire(Table table, IntOrVidOrTid& out) {
  switch (table.kind) {
    case 0:
      out = IntOrVidOrTid(table.literal);
      return {};
    case 1:
      if (!table.vid) return "kind is vid but vid is missing";
      out = IntOrVidOrTid(*table.vid);
      return {};
    case 2:
      if (!table.tid) return "kind is tid but tid is missing";
      out = IntOrVidOrTid(*table.tid);
      return {};
    default:
      return "kind must be 0 (literal), 1 (vid) or 2 (tid)";
  }
}

ShapeDimTable Twin<ShapeDim>::to_wire(const ShapeDim& value) {
  return {.value = value.value, .min_value = value.min_value, .max_value = value.max_value};
}
std::string_view Twin<ShapeDim>::from_wire(Table table, ShapeDim& out) {
  out = {.value = table.value, .min_value = table.min_value, .max_value = table.max_value};
  return {};
}

TensorMetaTable Twin<TensorMeta>::to_wire(const TensorMeta& value) {
  Table table;
  table.scalar_type = static_cast<int8_t>(value.dtype);
  table.shape.assign(value.shape.begin(), value.shape.end());
  for (size_t i = 0; i < value.shape.size(); ++i) table.dim_order.push_back(static_cast<uint8_t>(i));
  return table;
}
std::string_view Twin<TensorMeta>::from_wire(Table table, TensorMeta& out) {
  if (table.scalar_type < 0 || table.scalar_type > 30) return "scalar_type is outside 0 to 30";
  out.dtype = static_cast<DType>(table.scalar_type);  // need not be one we compute with: program::verify decides
  out.shape = std::move(table.shape);                 // dim_order is read by nobody: constants are row-major
  return {};
}

SlotTable Twin<Slot>::to_wire(const Slot& value) {
  return {.idx = value.idx, .slot_type = static_cast<uint8_t>(value.type)};
}
std::string_view Twin<Slot>::from_wire(Table table, Slot& out) {
  if (table.slot_type > static_cast<uint8_t>(SlotType::kBool)) return "slot_type must be 0 to 3";
  out = {.idx = table.idx, .type = static_cast<SlotType>(table.slot_type)};
  return {};
}

NamedSlotTable Twin<NamedSlot>::to_wire(const NamedSlot& value) {
  return {.name = String(value.name), .slot = value.slot};
}
std::string_view Twin<NamedSlot>::from_wire(Table table, NamedSlot& out) {
  static_assert(kMaxNameBytes == 4096);
  if (table.name.view().size() > kMaxNameBytes) return "name has more than 4096 bytes";
  out = {.name = table.name.str(), .slot = table.slot};
  return {};
}

}  // namespace tessera::program::wire
