// Instructions that work on rows along an axis.
#include "ops/norm.h"
#include "ops/softmax.h"
#include "ops/sort.h"
#include "runtime/nodes.h"

namespace tessera::runtime {

using ops::Tensor;

Status run(const program::Argmax& node, ExecutionContext& context) {
  return put(context, node.out, ops::argmax(TRY(get(context, node.x)), node.axis, node.keepdims));
}

Status run(const program::Argmin& node, ExecutionContext& context) {
  return put(context, node.out, ops::argmin(TRY(get(context, node.x)), node.axis, node.keepdims));
}

Status run(const program::Var& node, ExecutionContext& context) {
  return reduce(ops::ReduceOp::kVar, node, context, node.ddof);
}

Status run(const program::Std& node, ExecutionContext& context) {
  return reduce(ops::ReduceOp::kStd, node, context, node.ddof);
}

Status run(const program::Softmax& node, ExecutionContext& context) {
  return put(context, node.out, ops::softmax(TRY(get(context, node.x)), node.axis));
}

Status run(const program::Cumsum& node, ExecutionContext& context) {
  return put(context, node.out, ops::cumsum(TRY(get(context, node.x)), node.axis, node.reverse, node.inclusive));
}

Status run(const program::Sort& node, ExecutionContext& context) {
  return put(context, node.out, ops::sort(TRY(get(context, node.x)), node.axis));
}

Status run(const program::Argsort& node, ExecutionContext& context) {
  return put(context, node.out, ops::argsort(TRY(get(context, node.x)), node.axis));
}

Status run(const program::Partition& node, ExecutionContext& context) {
  const int32_t kth = TRY(get(context, node.kth));
  return put(context, node.out, ops::partition(TRY(get(context, node.x)), kth, node.axis));
}

Status run(const program::ArgPartition& node, ExecutionContext& context) {
  const int32_t kth = TRY(get(context, node.kth));
  return put(context, node.out, ops::arg_partition(TRY(get(context, node.x)), kth, node.axis));
}

Status run(const program::RMSNorm& node, ExecutionContext& context) {
  const OptionalTensor weight = TRY(get(context, node.weight));
  return put(context, node.out, ops::rms_norm(TRY(get(context, node.x)), weight.ptr(), node.eps));
}

Status run(const program::LayerNorm& node, ExecutionContext& context) {
  const OptionalTensor weight = TRY(get(context, node.weight)), bias = TRY(get(context, node.bias));
  return put(context, node.out, ops::layer_norm(TRY(get(context, node.x)), weight.ptr(), bias.ptr(), node.eps));
}

}  // namespace tessera::runtime
