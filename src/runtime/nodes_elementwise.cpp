// Element-wise instructions that are more than a row of a table.
#include "ops/activation.h"
#include "ops/cast.h"
#include "ops/select.h"
#include "runtime/nodes.h"

namespace tessera::runtime {

using ops::Tensor;

Status run(const program::AsType& node, ExecutionContext& context) {
  const DType dtype = TRY(get(node.scalar_type));
  return put(context, node.out, ops::cast(TRY(get(context, node.x)), dtype));
}

Status run(const program::Round& node, ExecutionContext& context) {
  return put(context, node.out, ops::round(TRY(get(context, node.x)), node.decimals));
}

Status run(const program::Silu& node, ExecutionContext& context) {
  return put(context, node.out, ops::silu(TRY(get(context, node.x))));
}

Status run(const program::Gelu& node, ExecutionContext& context) {
  return put(context, node.out, ops::gelu(TRY(get(context, node.x)), node.approximate == "tanh"));
}

Status run(const program::Where& node, ExecutionContext& context) {
  const Tensor condition = TRY(get(context, node.condition));
  return put(context, node.out, ops::where(condition, TRY(get(context, node.x)), TRY(get(context, node.y))));
}

Status run(const program::Clip& node, ExecutionContext& context) {
  const OptionalTensor low = TRY(get(context, node.a_min)), high = TRY(get(context, node.a_max));
  return put(context, node.out, ops::clip(TRY(get(context, node.x)), low.ptr(), high.ptr()));
}

}  // namespace tessera::runtime
