#include "runtime/execute.h"

#include <limits>

#include "ops/cast.h"
#include "ops/checks.h"

namespace tessera::runtime {

using ops::Tensor;
using program::Program;
using program::SlotType;
using program::Tid;
using program::Vid;

namespace {

Status check_declared(const Tensor& tensor, const program::IoTensor& io) {
  bool fits = static_cast<size_t>(tensor.shape.rank()) == io.sizes.size();
  for (size_t i = 0; fits && i < io.sizes.size(); ++i) {
    const int64_t size = tensor.shape[static_cast<int>(i)];
    fits = io.dynamic ? size <= io.sizes[i] : size == io.sizes[i];
  }
  if (!fits)
    return invalid_argument("found {}, declared {} {}", ops::describe(tensor), io.dynamic ? "at most" : "exactly",
                            to_string(Shape(std::vector<int64_t>(io.sizes.begin(), io.sizes.end()))));
  return {};
}

// `io`: what the container declares, or null.
Status set_tensor_input(const Program& program, Tid tid, const Argument& argument, const program::IoTensor* io,
                        Slots& slots) {
  const auto* tensor = std::get_if<Tensor>(&argument);
  if (!tensor || !tensor->is_set()) return invalid_argument("t{} needs a tensor", tid.idx);
  if (tid.idx < program.tensor_meta.size() && program.tensor_meta[tid.idx].dtype != tensor->dtype)
    return invalid_argument("t{} \"{}\" must be {}, found {}", tid.idx, program.name_of(tid),
                            name_of(program.tensor_meta[tid.idx].dtype), ops::describe(*tensor));
  for (int64_t dim : tensor->shape)
    if (dim > std::numeric_limits<int32_t>::max())
      return make_error(ErrorCode::kOutOfRange, "t{}: size {} is outside int32", tid.idx, dim);
  if (io) TRY(check_declared(*tensor, *io));
  return slots.set(tid, *tensor);
}

Status set_int_input(Vid vid, const Argument& argument, Slots& slots) {
  const auto* number = std::get_if<int64_t>(&argument);
  if (!number) return invalid_argument("v{} needs an int", vid.idx);
  using Limits = std::numeric_limits<int32_t>;
  if (*number < Limits::min() || *number > Limits::max())
    return make_error(ErrorCode::kOutOfRange, "v{}: {} is outside int32", vid.idx, *number);
  return slots.set(vid, Value(static_cast<int32_t>(*number)));
}

Status check_kind(const program::Slot& slot) {
  if (slot.type == SlotType::kTensor || slot.type == SlotType::kInt) return {};
  return not_implemented("inputs and outputs are tensors and ints; slot {} is a {}", slot.idx,
                         slot.type == SlotType::kFloat ? "float" : "bool");
}

// As the container declares it.
Result<Tensor> declared(const Tensor& tensor, const program::IoTensor& io) {
  TRY(check_declared(tensor, io));
  return ops::cast(tensor, io.dtype);
}

// The name in quotes, when it has one.
std::string describe(const Program& program, const program::Slot& slot) {
  for (const program::NamedSlot& named : program.named_slots)
    if (named.slot == slot) return fmt::format("\"{}\"", named.name);
  return fmt::format("(slot {})", slot.idx);
}

}  // namespace

Status set_inputs(const Program& program, std::span<const Argument> inputs, Slots& slots) {
  if (inputs.size() != program.input_map.size())
    return invalid_argument("{} inputs given, the program takes {}", inputs.size(), program.input_map.size());
  const bool is_declared = program.inputs.size() == program.input_map.size();
  for (size_t i = 0; i < inputs.size(); ++i) {
    const program::Slot& slot = program.input_map[i];
    TRY(check_kind(slot));
    const Status status =
        slot.type == SlotType::kInt
            ? set_int_input(Vid{slot.idx}, inputs[i], slots)
            : set_tensor_input(program, Tid{slot.idx}, inputs[i], is_declared ? &program.inputs[i] : nullptr, slots);
    if (!status) return status.error().in(fmt::format("input {} {}", i, describe(program, slot)));
  }
  return {};
}

Result<std::vector<Argument>> get_outputs(const Program& program, const Slots& slots) {
  const bool is_declared = program.outputs.size() == program.output_map.size();
  std::vector<Argument> outputs;
  for (size_t i = 0; i < program.output_map.size(); ++i) {
    const program::Slot& slot = program.output_map[i];
    TRY(check_kind(slot));
    if (slot.type == SlotType::kInt) {
      outputs.emplace_back(int64_t{TRY(slots.get_int(Vid{slot.idx}))});
      continue;
    }
    const Tensor tensor = TRY(slots.get(Tid{slot.idx}));
    if (!is_declared) {
      outputs.emplace_back(tensor);
      continue;
    }
    Result<Tensor> result = declared(tensor, program.outputs[i]);
    if (!result) return result.error().in(fmt::format("output {}", i));
    outputs.emplace_back(std::move(result).value());
  }
  return outputs;
}

ExecutionContext Execution::context(bool init_chain) {
  const CustomKernels& kernels = options_.kernels ? *options_.kernels : reference_kernels();
  uint32_t* stream = options_.seed ? &random_stream_ : nullptr;
  return {*program_, slots_, options_.pool, kernels, init_chain, options_.cache, stream};
}

Result<Execution> Execution::create(const Program& program, const Options& options) {
  TRY(program::verify(program));
  Execution execution(program, options);
  TRY(execution.slots_.bind_constants(program));
  TRY(execution.slots_.allocate_mutable_buffers(program));
  if (program.init_chain >= 0) {
    ExecutionContext context = execution.context(true);
    TRY(execute_chain(static_cast<uint32_t>(program.init_chain), context));
    execution.slots_.clear();
  }
  return execution;
}

Result<std::vector<Argument>> Execution::run(std::span<const Argument> inputs) {
  slots_.clear();
  TRY(set_inputs(*program_, inputs, slots_));
  ExecutionContext main = context(false);
  TRY(execute_chain(program_->main_chain, main));
  auto outputs = TRY(get_outputs(*program_, slots_));
  slots_.clear();
  return outputs;
}

Result<std::vector<Argument>> run(const Program& program, std::span<const Argument> inputs) {
  Execution execution = TRY(Execution::create(program, {}));
  return execution.run(inputs);
}

}  // namespace tessera::runtime
