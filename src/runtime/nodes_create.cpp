// Instructions that make tensors out of nothing.
#include <atomic>
#include <random>

#include "ops/checks.h"
#include "ops/create.h"
#include "runtime/nodes.h"

namespace tessera::runtime {

using ops::Tensor;

Status run(const program::ARange& node, ExecutionContext& context) {
  const int32_t start = TRY(get(context, node.start)), stop = TRY(get(context, node.stop));
  const int32_t step = TRY(get(context, node.step));
  const DType dtype = TRY(get(node.scalar_type.value_or(DType::kI32)));
  return put(context, node.out, ops::arange(start, stop, step, dtype));
}

Status run(const program::Full& node, ExecutionContext& context) {
  const std::vector<int64_t> sizes = TRY(get(context, node.shape));
  const Shape shape = TRY(ops::make_shape(sizes));
  const float value = TRY(read(node.v, context.slots));
  return put(context, node.out, ops::full(shape, value, TRY(get(node.scalar_type))));
}

Status run(const program::FullLike& node, ExecutionContext& context) {
  const Tensor x = TRY(get(context, node.x));
  const float value = TRY(read(node.v, context.slots));
  const DType dtype = TRY(get(node.scalar_type.value_or(x.dtype)));
  return put(context, node.out, ops::filled(x.shape, static_cast<double>(value), dtype));
}

Status run(const program::Tri& node, ExecutionContext& context) {
  const int32_t n = TRY(get(context, node.n)), m = TRY(get(context, node.m));
  return put(context, node.out, ops::tri(n, m, node.k, TRY(get(node.scalar_type))));
}

Status run(const program::Tril& node, ExecutionContext& context) {
  return put(context, node.out, ops::tril(TRY(get(context, node.x)), node.k));
}

Status run(const program::Triu& node, ExecutionContext& context) {
  return put(context, node.out, ops::triu(TRY(get(context, node.x)), node.k));
}

namespace {

// Seeds for nodes without one: the caller's stream, or one shared by the process and different in every run.
int32_t next_seed(const ExecutionContext& context) {
  if (context.random_stream) return static_cast<int32_t>((*context.random_stream)++);
  static std::atomic<uint32_t> stream{std::random_device{}()};
  return static_cast<int32_t>(stream.fetch_add(1, std::memory_order_relaxed));
}

}  // namespace

Status run(const program::RandomBits& node, ExecutionContext& context) {
  const std::vector<int64_t> sizes = TRY(get(context, node.shape));
  const Shape shape = TRY(ops::make_shape(sizes));
  const int32_t seed = node.seed ? TRY(context.slots.get_int(*node.seed)) : next_seed(context);
  return put(context, node.out, ops::random_bits(shape, node.width, seed));
}

}  // namespace tessera::runtime
