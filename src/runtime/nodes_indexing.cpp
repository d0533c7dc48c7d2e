// Instructions that read or write at positions.
#include "ops/cast.h"
#include "ops/indexing.h"
#include "ops/slice.h"
#include "runtime/nodes.h"

namespace tessera::runtime {

using ops::Tensor;

namespace {

// Lets f(dst) change the bytes of `dst`, or those of a copy when somebody else may still look at the old ones: another
// slot, a caller who holds an output. A cache that only its slot holds is thus updated in place.
template <typename F>
Status update(program::Tid dst, program::Out out, ExecutionContext& context, F&& f) {
  if (context.slots.is_constant(dst)) return invalid_argument("t{} is a constant and cannot be updated", dst.idx);
  Tensor* home = context.slots.find(dst);
  if (home && dst.idx == out.idx && home->unique()) return f(*home);
  const Tensor original = TRY(get(context, dst));
  Tensor copy = TRY(ops::clone(original));
  TRY(f(copy));
  return put(context, out, std::move(copy));
}

}  // namespace

Status run(const program::Slice& node, ExecutionContext& context) {
  const int32_t axis = TRY(get(context, node.axis)), start = TRY(get(context, node.start));
  const int32_t stop = TRY(get(context, node.stop));
  return put(context, node.out, ops::slice(TRY(get(context, node.x)), axis, start, stop, node.step));
}

Status run(const program::SliceUpdate& node, ExecutionContext& context) {
  const int32_t axis = TRY(get(context, node.axis)), start = TRY(get(context, node.start));
  const int32_t stop = TRY(get(context, node.stop));
  const Tensor values = TRY(get(context, node.update));
  return update(node.dst, node.out, context,
                [&](Tensor& dst) { return ops::slice_update(dst, values, axis, start, stop, node.step); });
}

Status run(const program::IndexCopy& node, ExecutionContext& context) {
  const Tensor values = TRY(get(context, node.update)), indices = TRY(get(context, node.indices));
  return update(node.dst, node.out, context,
                [&](Tensor& dst) { return ops::index_copy(dst, values, indices, node.axis); });
}

Status run(const program::Take& node, ExecutionContext& context) {
  const Tensor x = TRY(get(context, node.x));
  using Kind = program::IntOrVidOrTid::Kind;
  if (node.index.kind == Kind::kTid)
    return put(context, node.out, ops::take(x, TRY(get(context, node.index.tid)), node.axis));
  const bool is_vid = node.index.kind == Kind::kVid;
  const program::IntOrVid index = is_vid ? program::IntOrVid(node.index.vid) : program::IntOrVid(node.index.literal);
  return put(context, node.out, ops::take(x, int64_t{TRY(get(context, index))}, node.axis));
}

Status run(const program::TakeAlongAxis& node, ExecutionContext& context) {
  const Tensor x = TRY(get(context, node.x)), indices = TRY(get(context, node.indices));
  return put(context, node.out, ops::take_along_axis(x, indices, node.axis));
}

Status run(const program::Gather& node, ExecutionContext& context) {
  const Tensor x = TRY(get(context, node.x));
  const std::vector<Tensor> indices = TRY(get(context, std::span(node.indices)));
  return put(context, node.out, ops::gather(x, indices, node.axes, node.slice_sizes));
}

Status run(const program::ScatterAdd& node, ExecutionContext& context) {
  const Tensor x = TRY(get(context, node.x)), indices = TRY(get(context, node.indices));
  return put(context, node.out, ops::scatter_add(x, indices, TRY(get(context, node.updates)), node.axis));
}

}  // namespace tessera::runtime
