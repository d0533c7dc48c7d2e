// The tables of the two containers (executorch-pte sections 1.2 and 2.2). Written forms: schema/program.fbs and
// schema/flat_tensor.fbs. What a loader cannot do without is a required type here, although the schema itself declares
// nothing required: then the codec reports what is missing, and where.
#pragma once

#include <optional>
#include <variant>
#include <vector>

#include "program/wire.h"

namespace tessera::program::pte {

using wire::Bytes;

struct ContainerMetadata {
  std::optional<String> encoded_inp_str, encoded_out_str;
  TESSERA_FIELDS(ContainerMetadata, encoded_inp_str, encoded_out_str)
};
struct Null {
  TESSERA_FIELDS(Null)
};
struct AllocationDetails {
  uint32_t memory_id = 0, memory_offset_low = 0, memory_offset_high = 0;
  TESSERA_FIELDS(AllocationDetails, memory_id, memory_offset_low, memory_offset_high)
};
struct ExtraTensorInfo {
  uint64_t mutable_data_segments_idx = 0;
  std::optional<String> fully_qualified_name;
  int8_t location = 0, device_type = 0, device_index = 0;
  TESSERA_FIELDS(ExtraTensorInfo, mutable_data_segments_idx, fully_qualified_name, location, device_type, device_index)
};
enum ShapeDynamism : int8_t { kStatic = 0, kDynamicBound = 1, kDynamicUnbound = 2 };
struct Tensor {
  int8_t scalar_type = 0;
  int32_t storage_offset = 0;
  RequiredVector<int32_t> sizes;
  RequiredVector<uint8_t> dim_order;
  bool requires_grad = false;
  uint32_t data_buffer_idx = 0;
  std::optional<AllocationDetails> allocation_info;
  int8_t layout = 0;
  int8_t shape_dynamism = kStatic;
  std::optional<ExtraTensorInfo> extra_tensor_info;
  TESSERA_FIELDS(Tensor, scalar_type, storage_offset, sizes, dim_order, requires_grad, data_buffer_idx, allocation_info,
                 layout, shape_dynamism, extra_tensor_info)
};
struct Int {
  int64_t int_val = 0;
  TESSERA_FIELDS(Int, int_val)
};
struct Bool {
  bool bool_val = false;
  TESSERA_FIELDS(Bool, bool_val)
};
struct Double {
  double double_val = 0;
  TESSERA_FIELDS(Double, double_val)
};
struct Text {  // table String
  String string_val;
  TESSERA_FIELDS(String, string_val)
};
struct IntList {
  std::vector<int64_t> items;
  TESSERA_FIELDS(IntList, items)
};
struct DoubleList {
  std::vector<double> items;
  TESSERA_FIELDS(DoubleList, items)
};
struct BoolList {
  std::vector<uint8_t> items;
  TESSERA_FIELDS(BoolList, items)
};
struct TensorList {
  std::vector<int32_t> items;
  TESSERA_FIELDS(TensorList, items)
};
struct OptionalTensorList {
  std::vector<int32_t> items;
  TESSERA_FIELDS(OptionalTensorList, items)
};
using KernelTypes =
    std::variant<Null, Int, Bool, Double, Tensor, Text, IntList, DoubleList, BoolList, TensorList, OptionalTensorList>;
struct EValue {
  KernelTypes val;
  TESSERA_FIELDS(EValue, val)
};

struct Operator {
  std::optional<String> name, overload;
  TESSERA_FIELDS(Operator, name, overload)
};
struct KernelCall {
  int32_t op_index = 0;
  std::vector<int32_t> args;
  TESSERA_FIELDS(KernelCall, op_index, args)
};
struct DelegateCall {
  int32_t delegate_index = 0;
  RequiredVector<int32_t> args;
  TESSERA_FIELDS(DelegateCall, delegate_index, args)
};
struct MoveCall {
  int32_t move_from = 0, move_to = 0;
  TESSERA_FIELDS(MoveCall, move_from, move_to)
};
struct JumpFalseCall {
  int32_t cond_value_index = 0, destination_instruction = 0;
  TESSERA_FIELDS(JumpFalseCall, cond_value_index, destination_instruction)
};
struct FreeCall {
  int32_t value_index = 0;
  TESSERA_FIELDS(FreeCall, value_index)
};
struct Instruction {
  std::variant<KernelCall, DelegateCall, MoveCall, JumpFalseCall, FreeCall> instr_args;
  TESSERA_FIELDS(Instruction, instr_args)
};
struct Frame {
  std::optional<String> filename;
  int32_t lineno = 0;
  std::optional<String> name, context;
  TESSERA_FIELDS(Frame, filename, lineno, name, context)
};
struct FrameList {
  std::vector<Frame> items;
  TESSERA_FIELDS(FrameList, items)
};
struct Chain {
  std::optional<std::vector<int32_t>> inputs, outputs;
  RequiredVector<Instruction> instructions;
  std::vector<FrameList> stacktrace;
  TESSERA_FIELDS(Chain, inputs, outputs, instructions, stacktrace)
};

enum DataLocation : int8_t { kInline = 0, kSegment = 1 };
struct DelegateDataReference {
  int8_t location = kInline;
  uint32_t index = 0;
  TESSERA_FIELDS(BackendDelegateDataReference, location, index)
};
struct CompileSpec {
  String key;
  std::optional<Bytes> value;
  TESSERA_FIELDS(CompileSpec, key, value)
};
struct BackendDelegate {
  String id;
  DelegateDataReference processed;
  std::optional<std::vector<CompileSpec>> compile_specs;
  TESSERA_FIELDS(BackendDelegate, id, processed, compile_specs)
};
struct NonConstBufferDevice {
  int32_t buffer_idx = 0;
  int8_t device_type = 0, device_index = 0;
  TESSERA_FIELDS(NonConstBufferDevice, buffer_idx, device_type, device_index)
};
struct ExecutionPlan {
  String name;
  std::optional<ContainerMetadata> container_meta_type;
  RequiredVector<EValue> values;
  RequiredVector<int32_t> inputs, outputs;  // indices of values
  RequiredVector<Chain> chains;
  std::optional<std::vector<Operator>> operators;
  RequiredVector<BackendDelegate> delegates;
  RequiredVector<int64_t> non_const_buffer_sizes;
  std::vector<NonConstBufferDevice> non_const_buffer_device;
  TESSERA_FIELDS(ExecutionPlan, name, container_meta_type, values, inputs, outputs, chains, operators, delegates,
                 non_const_buffer_sizes, non_const_buffer_device)
};

struct Buffer {
  Bytes storage;
  TESSERA_FIELDS(Buffer, storage)
};
struct InlineData {
  Bytes data;
  TESSERA_FIELDS(BackendDelegateInlineData, data)
};
struct DataSegment {
  uint64_t offset = 0, size = 0;  // offset from the header's segment base
  TESSERA_FIELDS(DataSegment, offset, size)
};
struct SubsegmentOffsets {
  uint32_t segment_index = 0;
  std::optional<std::vector<uint64_t>> offsets;
  TESSERA_FIELDS(SubsegmentOffsets, segment_index, offsets)
};
struct NamedData {
  String key;
  uint32_t segment_index = 0;
  TESSERA_FIELDS(NamedData, key, segment_index)
};
struct Program {
  uint32_t version = 0;
  RequiredVector<ExecutionPlan> execution_plan;
  std::optional<std::vector<Buffer>> constant_buffer;
  std::optional<std::vector<InlineData>> backend_delegate_data;
  std::optional<std::vector<DataSegment>> segments;
  std::optional<SubsegmentOffsets> constant_segment;
  std::vector<SubsegmentOffsets> mutable_data_segments;
  std::optional<std::vector<NamedData>> named_data;
  TESSERA_FIELDS(Program, version, execution_plan, constant_buffer, backend_delegate_data, segments, constant_segment,
                 mutable_data_segments, named_data)
};

}  // namespace tessera::program::pte

namespace tessera::program::ptd {

struct TensorLayout {
  int8_t scalar_type = 0;
  std::optional<std::vector<int32_t>> sizes;
  std::optional<std::vector<uint8_t>> dim_order;
  TESSERA_FIELDS(TensorLayout, scalar_type, sizes, dim_order)
};
struct NamedData {
  String key;
  uint32_t segment_index = 0;
  std::optional<TensorLayout> tensor_layout;
  TESSERA_FIELDS(NamedData, key, segment_index, tensor_layout)
};
struct FlatTensor {
  uint32_t version = 0;
  RequiredVector<pte::DataSegment> segments;
  RequiredVector<NamedData> named_data;
  TESSERA_FIELDS(FlatTensor, version, segments, named_data)
};

}  // namespace tessera::program::ptd
