// Values, branches, loops and custom kernels.
#include <fmt/ranges.h>

#include <limits>

#include "ops/checks.h"
#include "ops/elements.h"
#include "ops/indexing.h"
#include "ops/join.h"
#include "runtime/nodes.h"

namespace tessera::runtime {

using ops::Tensor;

Status run(const program::Noop&, ExecutionContext&) { return {}; }

// The single element as int32. An i64 keeps its low half, as ExecuTorch's runtime does (5000000001 gives 705032705);
// floats and bools are converted, where that runtime reinterprets their bytes.
Status run(const program::ItemInt& node, ExecutionContext& context) {
  const Tensor x = TRY(get(context, node.x));
  if (x.n_elements() != 1) return invalid_argument("one element needed, found {}", ops::describe(x));
  const int32_t value = is_float(x.dtype) ? ops::stored<int32_t>(ops::element<double>(x, 0))
                                          : static_cast<int32_t>(ops::element<int64_t>(x, 0));
  return put(context, node.out, Value(value));
}

Status run(const program::SymSize& node, ExecutionContext& context) {
  const Tensor a = TRY(get(context, node.a));
  const int axis = TRY(ops::normalize_axis(node.dim, a.shape.rank()));
  if (a.shape[axis] > std::numeric_limits<int32_t>::max())
    return make_error(ErrorCode::kOutOfRange, "size {} is outside int32", a.shape[axis]);
  return put(context, node.out, Value(static_cast<int32_t>(a.shape[axis])));
}

namespace {

Status enter_chain(uint32_t chain, ExecutionContext& context) {
  if (context.depth > context.program.chains.size()) return invalid_argument("chain {} enters itself", chain);
  ++context.depth;
  Status status = execute_chain(chain, context);
  --context.depth;
  return status;
}

}  // namespace

Status run(const program::If& node, ExecutionContext& context) {
  const int32_t condition = TRY(get(context, node.cond));
  return enter_chain(condition != 0 ? node.then_chain_idx : node.else_chain_idx, context);
}

// The body runs once per entry of `scan_axis`, seeing that entry in the `sliced` slots; what it leaves in the `outputs`
// slots is stacked. Carried slots simply keep what the body put there.
Status run(const program::Scan& node, ExecutionContext& context) {
  const std::vector<Tensor> originals = TRY(get(context, std::span(node.originals)));
  if (originals.empty() || originals.size() != node.sliced.size())
    return invalid_argument("{} tensors to scan, {} slots for their entries", originals.size(), node.sliced.size());
  if (node.body_chain_idx < 0) return invalid_argument("chain {}", node.body_chain_idx);
  const int axis = TRY(ops::normalize_axis(node.scan_axis, originals[0].shape.rank()));
  const int64_t n_steps = originals[0].shape[axis];
  if (n_steps == 0) return invalid_argument("scanning {} along empty axis {}", ops::describe(originals[0]), axis);
  std::vector<std::vector<Tensor>> collected(node.outputs.size());
  for (int64_t step = 0; step < n_steps; ++step) {
    for (size_t i = 0; i < originals.size(); ++i)
      TRY(put(context, node.sliced[i], ops::take(originals[i], step, node.scan_axis)));
    TRY(enter_chain(static_cast<uint32_t>(node.body_chain_idx), context));
    for (size_t i = 0; i < collected.size(); ++i) collected[i].push_back(TRY(get(context, node.outputs[i])));
  }
  for (size_t i = 0; i < collected.size(); ++i)
    TRY(put(context, node.outputs[i], ops::stack(collected[i], node.scan_axis)));
  return {};
}

namespace {

Result<std::vector<KernelCall::Output>> kernel_outputs(const program::MetalKernel& node, ExecutionContext& context) {
  const std::vector<int64_t> sizes = TRY(get(context, node.output_shapes_flat));
  const size_t n = node.outputs.size();
  if (n == 0 || node.output_shape_lengths.size() != n || node.output_dtypes.size() != n)
    return invalid_argument("{} outputs, {} shapes, {} dtypes", n, node.output_shape_lengths.size(),
                            node.output_dtypes.size());
  std::vector<KernelCall::Output> outputs;
  size_t at = 0;
  for (size_t i = 0; i < n; ++i) {
    const int32_t rank = node.output_shape_lengths[i];
    if (rank < 0 || static_cast<size_t>(rank) > sizes.size() - at)
      return invalid_argument("shape lengths {} do not add up to {} sizes", node.output_shape_lengths, sizes.size());
    const auto dims = std::span(sizes).subspan(at, static_cast<size_t>(rank));
    outputs.push_back({TRY(ops::make_shape(dims)), TRY(get(node.output_dtypes[i]))});
    at += static_cast<size_t>(rank);
  }
  if (at != sizes.size())
    return invalid_argument("shape lengths {} do not add up to {} sizes", node.output_shape_lengths, sizes.size());
  return outputs;
}

Result<std::vector<TemplateArg>> template_args(const program::MetalKernel& node) {
  const size_t n = node.template_arg_names.size();
  if (node.template_arg_kinds.size() != n || node.template_arg_values.size() != n)
    return invalid_argument("{} template names, {} kinds, {} values", n, node.template_arg_kinds.size(),
                            node.template_arg_values.size());
  std::vector<TemplateArg> args;
  for (size_t i = 0; i < n; ++i) {
    const int8_t kind = node.template_arg_kinds[i];  // whatever is neither int nor bool is a dtype
    args.push_back({node.template_arg_names[i].view(),
                    kind == 0 || kind == 1 ? TemplateArg::Kind{kind} : TemplateArg::Kind::kDType,
                    node.template_arg_values[i]});
  }
  return args;
}

// The launch geometry means nothing here, but a node that cannot say it is malformed.
Status check_launch(const program::MetalKernel& node, ExecutionContext& context) {
  if (node.grid.size() != 3 || node.threadgroup.size() != 3)
    return invalid_argument("grid and threadgroup must have 3 sizes, found {} and {}", node.grid.size(),
                            node.threadgroup.size());
  TRY(get(context, std::span(node.grid)));
  TRY(get(context, std::span(node.threadgroup)));
  if (node.inputs.empty() || node.input_names.size() != node.inputs.size() ||
      node.output_names.size() != node.outputs.size())
    return invalid_argument("{} inputs with {} names, {} outputs with {} names", node.inputs.size(),
                            node.input_names.size(), node.outputs.size(), node.output_names.size());
  return {};
}

}  // namespace

Status run(const program::MetalKernel& node, ExecutionContext& context) {
  const CustomKernel* kernel = context.kernels.find(node.name.view());
  if (!kernel) return not_implemented("custom kernel \"{}\"; known: {}", node.name.view(), context.kernels.names());
  TRY(check_launch(node, context));
  const std::vector<Tensor> inputs = TRY(get(context, std::span(node.inputs)));
  const std::vector<TemplateArg> args = TRY(template_args(node));
  const std::vector<KernelCall::Output> outputs = TRY(kernel_outputs(node, context));
  const KernelCall call{node.name.view(), inputs, args, outputs, node.init_value, context.pool};
  std::vector<Tensor> results = TRY((*kernel)(call));
  CHECK(results.size() == outputs.size());
  for (size_t i = 0; i < results.size(); ++i) {
    if (!(results[i].shape == outputs[i].shape) || results[i].dtype != outputs[i].dtype)
      return invalid_argument("{} gives {}, the node declares {} {}", node.name.view(), ops::describe(results[i]),
                              name_of(outputs[i].dtype), to_string(outputs[i].shape));
    TRY(put(context, node.outputs[i], std::move(results[i])));
  }
  return {};
}

}  // namespace tessera::runtime
