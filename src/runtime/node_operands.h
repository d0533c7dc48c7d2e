// How instructions read their operands and write their results. Included by the nodes_*.cpp and nothing else.
#pragma once

#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/result.h"
#include "ops/tensor.h"
#include "program/slots.h"
#include "runtime/interpreter.h"

namespace tessera::runtime {

inline Result<ops::Tensor> get(const ExecutionContext& context, program::Tid tid) { return context.slots.get(tid); }

// An operand that may be absent; ptr() is what the operations take.
struct OptionalTensor {
  std::optional<ops::Tensor> tensor;
  const ops::Tensor* ptr() const { return tensor ? &*tensor : nullptr; }
};
Result<OptionalTensor> get(const ExecutionContext& context, const std::optional<program::Tid>& tid);
Result<std::vector<ops::Tensor>> get(const ExecutionContext& context, std::span<const program::Tid> tids);

inline Result<int32_t> get(const ExecutionContext& context, const program::IntOrVid& operand) {
  return read(operand, context.slots);
}
Result<std::vector<int64_t>> get(const ExecutionContext& context, std::span<const program::IntOrVid> operands);

// A dtype attribute. Error: a code that stands for no type we store.
Result<DType> get(DType dtype);

// Writes a slot; a constant only from the init chain.
Status put(ExecutionContext& context, program::Out out, ops::Tensor tensor);
// The same for what an operation returned.
inline Status put(ExecutionContext& context, program::Out out, Result<ops::Tensor> result) {
  if (!result) return std::move(result).error();
  return put(context, out, std::move(result).value());
}
inline Status put(ExecutionContext& context, program::VidOut out, Value value) { return context.slots.set(out, value); }

}  // namespace tessera::runtime
