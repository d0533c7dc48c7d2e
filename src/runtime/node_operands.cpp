#include "runtime/node_operands.h"

#include <algorithm>
#include <limits>

namespace tessera::runtime {

Result<int32_t> read(const program::IntOrVid& operand, const Slots& slots) {
  if (operand.is_vid) return slots.get_int(operand.vid);
  using Limits = std::numeric_limits<int32_t>;
  return static_cast<int32_t>(std::clamp<int64_t>(operand.literal, Limits::min(), Limits::max()));
}

Result<float> read(const program::FloatOrVid& operand, const Slots& slots) {
  if (!operand.is_vid) return static_cast<float>(operand.literal);
  const Value value = TRY(slots.get(operand.vid));
  return std::visit([](auto number) { return static_cast<float>(number); }, value);
}

Result<OptionalTensor> get(const ExecutionContext& context, const std::optional<program::Tid>& tid) {
  if (!tid) return OptionalTensor{};
  return OptionalTensor{TRY(context.slots.get(*tid))};
}

Result<std::vector<ops::Tensor>> get(const ExecutionContext& context, std::span<const program::Tid> tids) {
  std::vector<ops::Tensor> out;
  for (program::Tid tid : tids) out.push_back(TRY(context.slots.get(tid)));
  return out;
}

Result<std::vector<int64_t>> get(const ExecutionContext& context, std::span<const program::IntOrVid> operands) {
  std::vector<int64_t> out;
  for (const program::IntOrVid& operand : operands) out.push_back(TRY(read(operand, context.slots)));
  return out;
}

Result<DType> get(DType dtype) {
  if (!is_known(dtype)) return not_implemented("dtype code {}", static_cast<int>(dtype));
  return dtype;
}

Status put(ExecutionContext& context, program::Out out, ops::Tensor tensor) {
  if (context.init_chain && context.slots.is_constant(out)) return context.slots.set_constant(out, std::move(tensor));
  return context.slots.set(out, std::move(tensor));
}

}  // namespace tessera::runtime
