// Instructions that rename or rearrange elements.
#include "ops/join.h"
#include "ops/shape_ops.h"
#include "runtime/nodes.h"

namespace tessera::runtime {

using ops::Tensor;

Status run(const program::IdCopy& node, ExecutionContext& context) {
  return put(context, node.out, get(context, node.x));
}

Status run(const program::Contiguous& node, ExecutionContext& context) {
  return put(context, node.out, get(context, node.x));
}

Status run(const program::ExpandDims& node, ExecutionContext& context) {
  return put(context, node.out, ops::expand_dims(TRY(get(context, node.x)), node.axis));
}

Status run(const program::Squeeze& node, ExecutionContext& context) {
  return put(context, node.out, ops::squeeze(TRY(get(context, node.x)), node.dims));
}

Status run(const program::Reshape& node, ExecutionContext& context) {
  const std::vector<int64_t> shape = TRY(get(context, node.shape));
  return put(context, node.out, ops::reshape(TRY(get(context, node.x)), shape));
}

Status run(const program::Transpose& node, ExecutionContext& context) {
  return put(context, node.out, ops::transpose(TRY(get(context, node.x)), node.perm));
}

Status run(const program::BroadcastTo& node, ExecutionContext& context) {
  const std::vector<int64_t> shape = TRY(get(context, node.shape));
  return put(context, node.out, ops::broadcast_to(TRY(get(context, node.x)), std::span<const int64_t>(shape)));
}

Status run(const program::AsStrided& node, ExecutionContext& context) {
  const std::vector<int64_t> shape = TRY(get(context, node.shape)), strides = TRY(get(context, node.strides));
  return put(context, node.out, ops::as_strided(TRY(get(context, node.x)), shape, strides, node.offset));
}

Status run(const program::Tile& node, ExecutionContext& context) {
  const std::vector<int64_t> reps = TRY(get(context, node.reps));
  return put(context, node.out, ops::tile(TRY(get(context, node.x)), reps));
}

Status run(const program::Repeat& node, ExecutionContext& context) {
  const int32_t repeats = TRY(get(context, node.repeats));
  return put(context, node.out, ops::repeat(TRY(get(context, node.x)), repeats, node.axis));
}

Status run(const program::Roll& node, ExecutionContext& context) {
  const std::vector<int64_t> shifts = TRY(get(context, node.shift));
  return put(context, node.out, ops::roll(TRY(get(context, node.x)), shifts, node.axes));
}

Status run(const program::Concatenate& node, ExecutionContext& context) {
  return put(context, node.out, ops::concatenate(TRY(get(context, std::span(node.tensors))), node.axis));
}

Status run(const program::Stack& node, ExecutionContext& context) {
  return put(context, node.out, ops::stack(TRY(get(context, std::span(node.tensors))), node.axis));
}

Status run(const program::Split& node, ExecutionContext& context) {
  const std::vector<int64_t> sizes = TRY(get(context, node.sizes));
  const Tensor x = TRY(get(context, node.x));
  std::vector<Tensor> parts = TRY(ops::split(x, sizes, node.axis, node.outs.size()));
  for (size_t i = 0; i < parts.size(); ++i) TRY(put(context, node.outs[i], std::move(parts[i])));
  return {};
}

Status run(const program::Pad& node, ExecutionContext& context) {
  const std::vector<int64_t> widths = TRY(get(context, node.pad_width));
  const bool edge = node.mode == "edge";
  if (!edge && !(node.mode == "constant"))
    return not_implemented("pad mode \"{}\"; supported: constant, edge", node.mode.view());
  return put(context, node.out,
             ops::pad(TRY(get(context, node.x)), widths, edge ? ops::PadMode::kEdge : ops::PadMode::kConstant,
                      node.constant_value));
}

}  // namespace tessera::runtime
