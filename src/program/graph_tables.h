// The tables of an MLX delegate payload that are not nodes (executorch-pte sections 3.2 and 3.3), and how the types of
// program.h map to them. Written form: schema/mlx_graph.fbs.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "program/program.h"
#include "program/wire.h"

namespace tessera::program::wire {

// An operand's slot is on the wire when its flag says so, and must be.
struct IntOrVidTable {
  int64_t literal = 0;
  std::optional<Vid> vid;
  bool is_vid = false;
  TESSERA_FIELDS(IntOrVid, literal, vid, is_vid)
};
struct FloatOrVidTable {
  double literal = 0;
  std::optional<Vid> vid;
  bool is_vid = false;
  TESSERA_FIELDS(FloatOrVid, literal, vid, is_vid)
};
struct VidOrTidTable {
  std::optional<Vid> vid;
  std::optional<Tid> tid;
  bool is_vid = false;
  TESSERA_FIELDS(VidOrTid, vid, tid, is_vid)
};
struct IntOrVidOrTidTable {
  int64_t literal = 0;
  std::optional<Vid> vid;
  std::optional<Tid> tid;
  uint8_t kind = 0;
  TESSERA_FIELDS(IntOrVidOrTid, literal, vid, tid, kind)
};
struct ShapeDimTable {
  int32_t value = -1;
  int32_t min_value = 0;
  int32_t max_value = -1;
  TESSERA_FIELDS(ShapeDim, value, min_value, max_value)
};
struct TensorMetaTable {
  RequiredVector<ShapeDim> shape;
  int8_t scalar_type = 0;
  std::vector<uint8_t> dim_order;
  TESSERA_FIELDS(TensorMeta, shape, scalar_type, dim_order)
};
struct SlotTable {
  uint32_t idx = 0;
  uint8_t slot_type = 0;
  TESSERA_FIELDS(SlotVariant, idx, slot_type)
};
struct NamedSlotTable {
  String name;
  Slot slot;
  TESSERA_FIELDS(NamedSlot, name, slot)
};
struct InstructionTable {
  Node op;
  TESSERA_FIELDS(Instruction, op)
};
struct ChainTable {
  RequiredVector<InstructionTable> instructions;
  TESSERA_FIELDS(InstructionChain, instructions)
};
struct GraphTable {
  std::optional<String> version;
  uint32_t num_constant_tensors = 0;
  uint32_t num_input_tensors = 0;
  uint32_t num_output_tensors = 0;
  uint32_t num_mutable_buffer_tensors = 0;
  uint32_t num_temp_tensors = 0;
  uint32_t num_values = 0;
  RequiredVector<ChainTable> instruction_chains;
  uint32_t main_chain_idx = 0;
  int32_t init_chain_idx = -1;
  // Optional so that empty lists are written too.
  std::optional<std::vector<Slot>> input_map, output_map, mutable_buffer_map;
  std::optional<std::vector<NamedSlot>> named_slots;
  std::optional<std::vector<TensorMeta>> tensor_meta;
  TESSERA_FIELDS(MLXGraph, version, num_constant_tensors, num_input_tensors, num_output_tensors,
                 num_mutable_buffer_tensors, num_temp_tensors, num_values, instruction_chains, main_chain_idx,
                 init_chain_idx, input_map, output_map, mutable_buffer_map, named_slots, tensor_meta)
};

template <>
struct Twin<IntOrVid> {
  using Table = IntOrVidTable;
  static Table to_wire(const IntOrVid& value);
  static std::string_view from_wire(Table table, IntOrVid& out);
};
template <>
struct Twin<FloatOrVid> {
  using Table = FloatOrVidTable;
  static Table to_wire(const FloatOrVid& value);
  static std::string_view from_wire(Table table, FloatOrVid& out);
};
template <>
struct Twin<VidOrTid> {
  using Table = VidOrTidTable;
  static Table to_wire(const VidOrTid& value);
  static std::string_view from_wire(Table table, VidOrTid& out);
};
template <>
struct Twin<IntOrVidOrTid> {
  using Table = IntOrVidOrTidTable;
  static Table to_wire(const IntOrVidOrTid& value);
  static std::string_view from_wire(Table table, IntOrVidOrTid& out);
};
template <>
struct Twin<ShapeDim> {
  using Table = ShapeDimTable;
  static Table to_wire(const ShapeDim& value);
  static std::string_view from_wire(Table table, ShapeDim& out);
};
template <>
struct Twin<TensorMeta> {
  using Table = TensorMetaTable;
  static Table to_wire(const TensorMeta& value);
  static std::string_view from_wire(Table table, TensorMeta& out);
};
template <>
struct Twin<Slot> {
  using Table = SlotTable;
  static Table to_wire(const Slot& value);
  static std::string_view from_wire(Table table, Slot& out);
};
template <>
struct Twin<NamedSlot> {
  using Table = NamedSlotTable;
  static Table to_wire(const NamedSlot& value);
  static std::string_view from_wire(Table table, NamedSlot& out);
};

}  // namespace tessera::program::wire
