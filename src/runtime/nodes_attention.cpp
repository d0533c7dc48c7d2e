// Rotary embedding and attention.
#include "ops/cast.h"
#include "ops/checks.h"
#include "ops/elements.h"
#include "ops/rope.h"
#include "ops/sdpa.h"
#include "runtime/nodes.h"

namespace tessera::runtime {

using ops::Tensor;

namespace {

Result<std::vector<int64_t>> rope_offsets(const program::VidOrTid& offset, ExecutionContext& context) {
  if (offset.is_vid) return std::vector<int64_t>{TRY(context.slots.get_int(offset.vid))};
  const Tensor tensor = TRY(get(context, offset.tid));
  TRY(ops::check_integer(tensor, "offset"));
  if (tensor.shape.rank() > 1) return invalid_argument("offset must have rank 0 or 1, found {}", ops::describe(tensor));
  return ops::to_int64s(tensor);
}

}  // namespace

Status run(const program::Rope& node, ExecutionContext& context) {
  const Tensor x = TRY(get(context, node.x));
  const std::vector<int64_t> offsets = TRY(rope_offsets(node.offset, context));
  const OptionalTensor periods = TRY(get(context, node.freqs));
  const ops::RopeArgs args{node.dims, node.traditional, node.base, node.scale, periods.ptr()};
  return put(context, node.out, ops::rope(x, offsets, args));
}

Status run(const program::Sdpa& node, ExecutionContext& context) {
  const Tensor q = TRY(get(context, node.q)), k = TRY(get(context, node.k)), v = TRY(get(context, node.v));
  const OptionalTensor mask = TRY(get(context, node.mask));
  return put(context, node.out, ops::sdpa(q, k, v, node.scale, mask.ptr(), node.causal));
}

Status run(const program::UpdateAndAttend& node, ExecutionContext& context) {
  if (!context.cache) return invalid_argument("the program keeps its cache outside the graph, and none was given");
  if (!node.layer_id || !node.scale) return invalid_argument("layer_id and scale are mandatory");
  const Tensor q = TRY(get(context, node.q)), k = TRY(get(context, node.k)), v = TRY(get(context, node.v));
  const Tensor position = TRY(get(context, node.position));
  if ((position.dtype != DType::kI32 && position.dtype != DType::kI64) || position.n_elements() == 0)
    return invalid_argument("position must be i32 or i64 and not empty, found {}", ops::describe(position));
  if (q.shape.rank() != 4 || k.shape.rank() != 4 || q.shape[0] != 1 || q.shape[2] != k.shape[2])
    return invalid_argument("q {} and k {} must be (1, heads, T, head_dim) with one T", ops::describe(q),
                            ops::describe(k));
  const DType out_dtype = TRY(get(node.out_dtype.value_or(q.dtype)));
  const auto view = TRY(context.cache->update(*node.layer_id, ops::element<int64_t>(position, 0), k, v));
  const Tensor keys = TRY(ops::cast(view.k, q.dtype)), values = TRY(ops::cast(view.v, q.dtype));
  const Tensor attended = TRY(ops::sdpa(q, keys, values, *node.scale, view.mask ? &*view.mask : nullptr, view.causal));
  return put(context, node.out, ops::cast(attended, out_dtype));
}

}  // namespace tessera::runtime
