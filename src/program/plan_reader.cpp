#include "program/plan_reader.h"

#include <algorithm>
#include <set>

#include "base/checked_math.h"
#include "program/sizes.h"

namespace tessera::program {
namespace {

// Of all tensors and texts that constant methods return, which are copied.
constexpr uint64_t kMaxConstantBytes = uint64_t{64} << 20;

bool has_mlx_delegate(const pte::ExecutionPlan& plan) {
  return std::any_of(plan.delegates.begin(), plan.delegates.end(),
                     [](const auto& delegate) { return delegate.id == kMlxBackend; });
}

bool is_constant_method(const pte::ExecutionPlan& plan) {
  return plan.inputs.empty() && plan.delegates.empty() &&
         std::all_of(plan.chains.begin(), plan.chains.end(),
                     [](const auto& chain) { return chain.instructions.empty(); });
}

std::string list_names(const PteFile& file) {
  std::string names;
  for (const auto& plan : file.table.execution_plan)
    names += fmt::format("{}{}", names.empty() ? "" : ", ", plan.name.view());
  return names;
}

// A value that an index list of the plan refers to.
Result<const pte::EValue*> value_at(const pte::ExecutionPlan& plan, int64_t index, std::string_view what) {
  if (index >= 0 && static_cast<size_t>(index) < plan.values.size()) return &plan.values[static_cast<size_t>(index)];
  return invalid_format("method \"{}\": {} names value {}, the plan has {}", plan.name.view(), what, index,
                        plan.values.size());
}

// --- Tensors (section 1.4). ---

Status check_dim_order(const pte::Tensor& tensor) {
  const size_t rank = tensor.sizes.size();
  if (tensor.dim_order.size() != rank) {
    return invalid_format("dim_order has {} entries for {} sizes", tensor.dim_order.size(), rank);
  }
  std::set<uint8_t> seen;
  bool row_major = true;
  for (size_t i = 0; i < rank; ++i) {
    const uint8_t axis = tensor.dim_order[i];
    if (axis >= rank || !seen.insert(axis).second) return invalid_format("dim_order is not a permutation");
    row_major = row_major && axis == i;
  }
  if (!row_major) return not_implemented("dim_order is not 0, 1, 2, ...; only row-major tensors are supported");
  return {};
}

// Checks everything about the tensor but its storage, and returns its bytes.
Result<uint64_t> check_shape(const pte::Tensor& tensor) {
  if (tensor.storage_offset != 0)
    return not_implemented("storage_offset {}, only 0 is supported", tensor.storage_offset);
  if (tensor.shape_dynamism == pte::kDynamicUnbound) return not_implemented("unbounded dynamic shapes");
  if (tensor.shape_dynamism != pte::kStatic && tensor.shape_dynamism != pte::kDynamicBound) {
    return invalid_format("shape_dynamism {}, expected 0 to 2", tensor.shape_dynamism);
  }
  if (tensor.sizes.size() > kMaxRank) return invalid_format("rank {}, at most {}", tensor.sizes.size(), kMaxRank);
  TRY(check_dim_order(tensor));
  const auto dtype = static_cast<DType>(tensor.scalar_type);
  if (!is_known(dtype)) return not_implemented("scalar_type code {}", tensor.scalar_type);
  const auto bytes = tensor_bytes<int32_t>(dtype, tensor.sizes);
  if (!bytes) return invalid_format("a size is negative, or their product overflows");
  return *bytes;
}

// Sections 1.5: the planned range must lie in its arena.
Status check_allocation(const pte::ExecutionPlan& plan, const pte::AllocationDetails& planned, uint64_t bytes) {
  const auto& arenas = plan.non_const_buffer_sizes;
  if (planned.memory_id == 0 || planned.memory_id >= arenas.size()) {
    return invalid_format("memory_id {}, expected 1 to {}", planned.memory_id, static_cast<int64_t>(arenas.size()) - 1);
  }
  const uint64_t offset = (uint64_t{planned.memory_offset_high} << 32) | planned.memory_offset_low;
  const auto end = checked_add(offset, bytes);
  const int64_t arena = arenas[planned.memory_id];
  if (arena < 0 || !end || *end > static_cast<uint64_t>(arena)) {
    return invalid_format("{} bytes planned at {} reach past the end of an arena of {}", bytes, offset, arena);
  }
  return {};
}

Result<IoTensor> read_tensor(const pte::ExecutionPlan& plan, const pte::Tensor& tensor) {
  const uint64_t bytes = TRY(check_shape(tensor));
  if (tensor.data_buffer_idx != 0) return not_implemented("inputs and outputs with initial values");
  if (tensor.allocation_info) TRY(check_allocation(plan, *tensor.allocation_info, bytes));
  return IoTensor{static_cast<DType>(tensor.scalar_type),
                  {tensor.sizes.begin(), tensor.sizes.end()},
                  tensor.shape_dynamism == pte::kDynamicBound};
}

// The bytes behind data_buffer_idx: in the constant segment, or in the older constant_buffer.
Result<std::span<const std::byte>> constant_bytes(const PteFile& file, const pte::Tensor& tensor, uint64_t bytes) {
  const uint32_t index = tensor.data_buffer_idx;
  const auto& table = file.table;
  std::span<const std::byte> all;
  uint64_t offset = 0;
  if (table.constant_segment && table.constant_segment->offsets && !table.constant_segment->offsets->empty()) {
    const auto& offsets = *table.constant_segment->offsets;
    if (index >= offsets.size()) return invalid_format("data_buffer_idx {}, the file has {}", index, offsets.size());
    offset = offsets[index];
    all = TRY(file.segments.at(table.constant_segment->segment_index, "constant_segment")).bytes;
  } else {
    const size_t n_buffers = table.constant_buffer ? table.constant_buffer->size() : 0;
    if (index >= n_buffers) return invalid_format("data_buffer_idx {}, the file has {}", index, n_buffers);
    all = (*table.constant_buffer)[index].storage;
  }
  if (offset > all.size() || bytes > all.size() - offset) {
    return invalid_format("{} bytes at {} reach past the end of the constants ({} bytes)", bytes, offset, all.size());
  }
  return all.subspan(offset, bytes);
}

// Lists name other values of the plan; -1 is "none" where that is allowed.
template <typename Index>
Status check_list(const pte::ExecutionPlan& plan, const std::vector<Index>& items, size_t kind, bool may_be_none) {
  for (const Index index : items) {
    if (may_be_none && index == -1) continue;
    const pte::EValue& value = *TRY(value_at(plan, index, "a list"));
    if (value.val.index() != kind)
      return invalid_format("a list names value {} of kind {}, expected {}", index, value.val.index(), kind);
  }
  return {};
}

Status check_value(const PteFile& file, const pte::ExecutionPlan& plan, const pte::KernelTypes& value) {
  static const size_t kInt = pte::KernelTypes(pte::Int()).index(), kTensor = pte::KernelTypes(pte::Tensor()).index();
  if (const auto* list = std::get_if<pte::IntList>(&value)) return check_list(plan, list->items, kInt, false);
  if (const auto* list = std::get_if<pte::TensorList>(&value)) return check_list(plan, list->items, kTensor, false);
  if (const auto* list = std::get_if<pte::OptionalTensorList>(&value))
    return check_list(plan, list->items, kTensor, true);
  const auto* tensor = std::get_if<pte::Tensor>(&value);
  if (tensor == nullptr) return {};
  const uint64_t bytes = TRY(check_shape(*tensor));
  if (tensor->allocation_info) return check_allocation(plan, *tensor->allocation_info, bytes);
  if (tensor->data_buffer_idx != 0) TRY(constant_bytes(file, *tensor, bytes));
  return {};
}

Status charge(uint64_t size, uint64_t& budget) {
  if (size > budget) return invalid_format("constant methods return more than {} bytes", kMaxConstantBytes);
  budget -= size;
  return {};
}

Result<ConstantValue> read_constant(const PteFile& file, const pte::EValue& value, uint64_t& budget) {
  if (const auto* v = std::get_if<pte::Int>(&value.val)) return ConstantValue(v->int_val);
  if (const auto* v = std::get_if<pte::Bool>(&value.val)) return ConstantValue(v->bool_val);
  if (const auto* v = std::get_if<pte::Double>(&value.val)) return ConstantValue(v->double_val);
  if (const auto* v = std::get_if<pte::Text>(&value.val)) {  // any number of outputs may name one text
    TRY(charge(v->string_val.view().size(), budget));
    return ConstantValue(v->string_val.str());
  }
  const auto* tensor = std::get_if<pte::Tensor>(&value.val);
  if (tensor == nullptr) {
    return not_implemented("a value of kind {}; supported: Int, Bool, Double, String, Tensor", value.val.index());
  }
  const uint64_t size = TRY(check_shape(*tensor));
  if (tensor->data_buffer_idx == 0 || tensor->allocation_info) return invalid_format("a tensor without constant data");
  TRY(charge(size, budget));
  const auto bytes = TRY(constant_bytes(file, *tensor, size));
  return ConstantValue(ConstantTensor{static_cast<DType>(tensor->scalar_type),
                                      {tensor->sizes.begin(), tensor->sizes.end()},
                                      {bytes.begin(), bytes.end()}});
}

// --- The delegate call (section 1.6). ---

Status check_delegates(const pte::ExecutionPlan& plan) {
  for (const auto& delegate : plan.delegates) {
    if (delegate.id == kMlxBackend) continue;
    return not_implemented("method \"{}\" uses the delegate \"{}\"; only {} is supported", plan.name.view(),
                           delegate.id.view(), kMlxBackend);
  }
  if (plan.delegates.empty()) {
    return not_implemented("method \"{}\" has no delegate; only methods that are one {} call are supported",
                           plan.name.view(), kMlxBackend);
  }
  return {};
}

Result<const pte::DelegateCall*> delegate_call(const pte::ExecutionPlan& plan) {
  TRY(check_delegates(plan));
  if (plan.chains.empty()) return invalid_format("method \"{}\" has no chain", plan.name.view());
  const auto& instructions = plan.chains[0].instructions;
  const auto* call = instructions.size() == 1 ? std::get_if<pte::DelegateCall>(&instructions[0].instr_args) : nullptr;
  if (plan.chains.size() != 1 || call == nullptr) {
    return not_implemented("method \"{}\" has {} chains and {} instructions; only one delegate call is supported",
                           plan.name.view(), plan.chains.size(), instructions.size());
  }
  if (call->delegate_index < 0 || static_cast<size_t>(call->delegate_index) >= plan.delegates.size()) {
    return invalid_format("method \"{}\" calls delegate {}, it has {}", plan.name.view(), call->delegate_index,
                          plan.delegates.size());
  }
  return call;
}

Result<IoTensor> read_argument(const pte::ExecutionPlan& plan, int32_t index) {
  const pte::EValue& value = *TRY(value_at(plan, index, "a delegate argument"));
  if (std::holds_alternative<pte::Int>(value.val)) return IoTensor{DType::kI64, {}, false};
  if (const auto* tensor = std::get_if<pte::Tensor>(&value.val)) {
    auto io = read_tensor(plan, *tensor);
    if (!io) return io.error().in(fmt::format("method \"{}\", value {}", plan.name.view(), index));
    return io;
  }
  return not_implemented("method \"{}\": argument of kind {}; supported: Tensor, Int", plan.name.view(),
                         value.val.index());
}

// Memory of two outputs must not overlap: the delegate fills them one after the other.
Status check_overlap(const pte::ExecutionPlan& plan, std::span<const int32_t> outputs) {
  struct Range {
    uint64_t arena, begin, end;
    auto operator<=>(const Range&) const = default;
  };
  std::vector<Range> ranges;
  for (const int32_t index : outputs) {
    const auto* tensor = std::get_if<pte::Tensor>(&plan.values[static_cast<size_t>(index)].val);
    if (tensor == nullptr || !tensor->allocation_info) continue;
    const auto& planned = *tensor->allocation_info;
    const uint64_t begin = (uint64_t{planned.memory_offset_high} << 32) | planned.memory_offset_low;
    const uint64_t bytes = TRY(check_shape(*tensor));
    if (bytes > 0) ranges.push_back({planned.memory_id, begin, begin + bytes});
  }
  std::sort(ranges.begin(), ranges.end());
  for (size_t i = 1; i < ranges.size(); ++i) {
    if (ranges[i].arena == ranges[i - 1].arena && ranges[i].begin < ranges[i - 1].end) {
      return invalid_format("method \"{}\": planned outputs overlap at byte {} of arena {}", plan.name.view(),
                            ranges[i].begin, ranges[i].arena);
    }
  }
  return {};
}

}  // namespace

Result<const pte::ExecutionPlan*> choose_plan(const PteFile& file, const std::string& method) {
  const auto& plans = file.table.execution_plan;
  std::set<std::string_view> names;
  for (const auto& plan : plans) {
    if (!names.insert(plan.name.view()).second) return invalid_format("two methods are named \"{}\"", plan.name.view());
  }
  const std::string_view wanted = method.empty() ? std::string_view("forward") : std::string_view(method);
  for (const auto& plan : plans)
    if (plan.name == wanted) return &plan;
  if (!method.empty()) {
    return make_error(ErrorCode::kNotFound, "no method \"{}\"; the file has {}", method, list_names(file));
  }
  const pte::ExecutionPlan* only = nullptr;
  for (const auto& plan : plans) {
    if (!has_mlx_delegate(plan)) continue;
    if (only != nullptr) return invalid_argument("several methods to choose from: {}", list_names(file));
    only = &plan;
  }
  if (only == nullptr) return not_implemented("no method with an {} delegate among {}", kMlxBackend, list_names(file));
  return only;
}

Result<Segments::Segment> delegate_payload(const PteFile& file, std::span<const std::byte> bytes,
                                           const pte::ExecutionPlan& plan) {
  const auto& call = *TRY(delegate_call(plan));
  const auto& [location, index] = plan.delegates[static_cast<size_t>(call.delegate_index)].processed;
  if (location == pte::kSegment) {
    if (file.header.segment_base == 0) return invalid_format("the delegate is in a segment, but the file has none");
    return file.segments.at(index, "the delegate");
  }
  if (location != pte::kInline) return invalid_format("delegate data location {}, expected 0 or 1", location);
  const size_t n_inline = file.table.backend_delegate_data ? file.table.backend_delegate_data->size() : 0;
  if (index >= n_inline) return invalid_format("the delegate is inline blob {}, the file has {}", index, n_inline);
  const auto data = (*file.table.backend_delegate_data)[index].data;
  return Segments::Segment{data.empty() ? 0 : static_cast<uint64_t>(data.data() - bytes.data()), data};
}

Status check_plan(const PteFile& file, const pte::ExecutionPlan& plan) {
  if (plan.non_const_buffer_sizes.empty()) return invalid_format("method \"{}\" has no arena 0", plan.name.view());
  for (size_t i = 0; i < plan.values.size(); ++i) {
    const Status status = check_value(file, plan, plan.values[i].val);
    if (!status) return status.error().in(fmt::format("method \"{}\", value {}", plan.name.view(), i));
  }
  for (const auto& delegate : plan.delegates) {
    for (const auto& spec : delegate.compile_specs.value_or(std::vector<pte::CompileSpec>())) {
      if (!spec.value)
        return invalid_format("method \"{}\": compile spec \"{}\" has no value", plan.name.view(), spec.key.view());
    }
  }
  return {};
}

Status read_arguments(const pte::ExecutionPlan& plan, size_t n_inputs, std::vector<IoTensor>& inputs,
                      std::vector<IoTensor>& outputs) {
  const auto& call = *TRY(delegate_call(plan));
  for (const int32_t index : plan.inputs) TRY(value_at(plan, index, "an input"));
  for (const int32_t index : plan.outputs) TRY(value_at(plan, index, "an output"));
  if (call.args.size() < n_inputs) {
    return invalid_format("method \"{}\" passes {} arguments, the graph has {} inputs", plan.name.view(),
                          call.args.size(), n_inputs);
  }
  const std::span<const int32_t> args(call.args);
  const auto read = [&](std::span<const int32_t> list, const std::vector<int32_t>& declared, std::string_view what,
                        std::vector<IoTensor>& out) -> Status {
    for (const int32_t index : list) {
      if (std::find(declared.begin(), declared.end(), index) == declared.end()) {
        return invalid_format("method \"{}\": argument {} is an {} of the graph, but not of the method",
                              plan.name.view(), index, what);
      }
      out.push_back(TRY(read_argument(plan, index)));
    }
    return {};
  };
  TRY(read(args.first(n_inputs), plan.inputs, "input", inputs));
  TRY(read(args.subspan(n_inputs), plan.outputs, "output", outputs));
  return check_overlap(plan, args.subspan(n_inputs));
}

Result<ConstantMethods> read_constant_methods(const PteFile& file) {
  ConstantMethods out;
  uint64_t budget = kMaxConstantBytes;
  for (const auto& plan : file.table.execution_plan) {
    if (!is_constant_method(plan)) continue;
    if (plan.chains.empty()) return invalid_format("method \"{}\" has no chain", plan.name.view());
    auto& values = out[plan.name.str()];
    for (const int32_t index : plan.outputs) {
      const pte::EValue& value = *TRY(value_at(plan, index, "an output"));
      auto constant = read_constant(file, value, budget);
      if (!constant) return constant.error().in(fmt::format("constant method \"{}\"", plan.name.view()));
      values.push_back(*std::move(constant));
    }
  }
  return out;
}

}  // namespace tessera::program
