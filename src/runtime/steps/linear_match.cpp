#include "runtime/steps/linear_match.h"

#include <algorithm>

#include "program/def_use.h"
#include "runtime/custom_kernels.h"
#include "runtime/steps/linear_step.h"

namespace tessera::runtime {
namespace {

using program::MetalKernel;
using program::Tid;

// One linear at a position of builder.order.
struct LinearAt {
  Tid x;
  LinearSpec spec;
  Tid out;
  DType dtype = DType::kF32;
  bool promotes = false;      // see LinearStep::Job
  bool single_token = false;  // the program says M is 1: a mat-vec without a choice, or behind the last token's Take
  size_t n_instructions = 1;  // of builder.order
  size_t product = 0;         // which of them reads x
};

bool one_of(int value, std::initializer_list<int> allowed) {
  return std::find(allowed.begin(), allowed.end(), value) != allowed.end();
}

// The only tensor instruction of a chain, when it is a fused kernel.
const MetalKernel* only_kernel(const program::Chain& chain) {
  const MetalKernel* found = nullptr;
  for (const program::Node& node : chain) {
    bool writes_tensor = false;
    program::for_each_def(node, [&](Tid) { writes_tensor = true; });
    if (!writes_tensor) continue;
    if (found) return nullptr;
    found = std::get_if<MetalKernel>(&node);
    if (!found) return nullptr;
  }
  return found;
}

std::optional<LinearAt> from_kernel(const PlanBuilder& b, const MetalKernel& kernel, GgufKernelName::Op op) {
  const auto name = parse_gguf_kernel(kernel.name.view());
  const bool has_bias = kernel.inputs.size() == 3;
  if (!name || name->op != op || !name->format->dequantize || (kernel.inputs.size() != 2 && !has_bias) ||
      kernel.outputs.size() != 1 || kernel.output_dtypes.size() != 1 || !is_activation_dtype(kernel.output_dtypes[0])) {
    return std::nullopt;
  }
  const auto weight = b.constant(kernel.inputs[1]);
  if (!weight || weight->dtype != DType::kU8 || weight->shape.rank() != 2 ||
      weight->shape[1] % name->format->block_bytes != 0) {
    return std::nullopt;
  }
  LinearAt out{.x = kernel.inputs[0], .spec = {}, .out = kernel.outputs[0], .dtype = kernel.output_dtypes[0]};
  out.spec.format = name->format;
  out.spec.weight = kernel.inputs[1];
  out.spec.n = weight->shape[0];
  out.spec.k = weight->shape[1] / name->format->block_bytes * name->format->block_values;
  if (out.spec.n <= 0 || out.spec.k <= 0) return std::nullopt;
  if (has_bias) {
    auto bias = b.float_constant(kernel.inputs[2]);
    if (!bias || static_cast<int64_t>(bias->size()) != out.spec.n) return std::nullopt;
    out.spec.bias = std::move(*bias);
  }
  return out;
}

std::optional<LinearAt> from_branch(const PlanBuilder& b, const program::If& branch) {
  using Op = GgufKernelName::Op;
  const MetalKernel* many = only_kernel(b.program.chains[branch.then_chain_idx]);
  const MetalKernel* one = only_kernel(b.program.chains[branch.else_chain_idx]);
  if (!many || !one || !(many->inputs == one->inputs) || !(many->outputs == one->outputs) ||
      many->output_dtypes != one->output_dtypes) {
    return std::nullopt;
  }
  const auto a = from_kernel(b, *many, Op::kMatmul), c = from_kernel(b, *one, Op::kMatvec);
  if (!a || !c || a->spec.format != c->spec.format) return std::nullopt;
  return a;
}

// [Transpose of a constant, Addmm] without bias scaling: dense weights.
std::optional<LinearAt> from_dense(const PlanBuilder& b, size_t i) {
  const auto* transpose = b.node_at<program::Transpose>(i);
  const auto* product = b.node_at<program::Addmm>(i + 1);
  if (!transpose || !product || transpose->perm != decltype(transpose->perm){1, 0} || product->bias ||
      product->alpha != 1 || !(product->mat2 == static_cast<const Tid&>(transpose->out)) ||
      !b.only_read_at(b.written_at(i, transpose->out), i + 1)) {
    return std::nullopt;
  }
  const auto weight = b.constant(transpose->x);
  if (!weight || weight->shape.rank() != 2 || !is_activation_dtype(weight->dtype) || weight->n_elements() == 0)
    return std::nullopt;
  LinearAt out{.x = product->mat1,
               .spec = {},
               .out = product->out,
               .dtype = weight->dtype,
               .promotes = true,
               .n_instructions = 2,
               .product = 1};
  out.spec.format = quant::format_of_floats(weight->dtype);
  out.spec.weight = transpose->x;
  out.spec.n = weight->shape[0];
  out.spec.k = weight->shape[1];
  return out;
}

// The weight of a QuantizedMatmul, when the kernels know its geometry.
std::optional<LinearSpec> affine_spec(const PlanBuilder& b, const program::QuantizedMatmul& node) {
  const auto codes = b.constant(node.w), scales = b.constant(node.scales);
  const auto biases = node.biases ? b.constant(*node.biases) : std::nullopt;
  const bool is_known = node.mode == "affine" && node.transpose && one_of(node.bits, {2, 3, 4, 5, 6, 8}) &&
                        one_of(node.group_size, {16, 32, 64, 128});
  const bool are_constants = codes && scales && biases && codes->dtype == DType::kU32 && codes->shape.rank() == 2 &&
                             is_activation_dtype(scales->dtype) && scales->shape.rank() == 2;
  if (!is_known || !are_constants || scales->shape[0] != codes->shape[0] || scales->shape != biases->shape ||
      scales->dtype != biases->dtype)
    return std::nullopt;
  LinearSpec spec{.weight = node.w, .n = scales->shape[0], .k = scales->shape[1] * node.group_size, .bias = {}};
  if (spec.n == 0 || spec.k == 0 || codes->shape[1] * 32 != spec.k * node.bits) return std::nullopt;
  spec.groups = {.scales = node.scales,
                 .biases = *node.biases,
                 .bits = node.bits,
                 .group_size = node.group_size,
                 .dtype = scales->dtype};
  return spec;
}

// [QuantizedMatmul by constants, (AsType)]
std::optional<LinearAt> from_affine(const PlanBuilder& b, size_t i) {
  const auto* product = b.node_at<program::QuantizedMatmul>(i);
  auto spec = product ? affine_spec(b, *product) : std::nullopt;
  if (!spec) return std::nullopt;
  LinearAt out{.x = product->x, .spec = {}, .out = product->out, .dtype = spec->groups->dtype, .promotes = true};
  out.spec = *std::move(spec);
  const auto* cast = b.node_at<program::AsType>(i + 1);
  if (cast && cast->x == static_cast<const Tid&>(product->out) && is_activation_dtype(cast->scalar_type) &&
      b.only_read_at(b.written_at(i, product->out), i + 1)) {
    out.out = cast->out;
    out.dtype = cast->scalar_type;
    out.promotes = false;
    out.n_instructions = 2;
  }
  return out;
}

// The version of its input that a linear at position `i` reads.
Version input_of(const PlanBuilder& b, size_t i, const LinearAt& linear) {
  return b.read_at(i + linear.product, linear.x);
}

std::optional<LinearAt> any_linear_at(const PlanBuilder& b, size_t i) {
  if (const auto* branch = b.node_at<program::If>(i)) return from_branch(b, *branch);
  if (const auto* kernel = b.node_at<MetalKernel>(i)) {
    auto out = from_kernel(b, *kernel, GgufKernelName::Op::kMatvec);
    if (out) out->single_token = true;
    return out ? out : from_kernel(b, *kernel, GgufKernelName::Op::kMatmul);
  }
  auto dense = from_dense(b, i);
  return dense ? dense : from_affine(b, i);
}

// With the number its outputs are multiplied by, if there is one.
std::optional<LinearAt> linear_at(const PlanBuilder& b, size_t i) {
  auto out = any_linear_at(b, i);
  if (const auto scaled = out ? b.scaled_at(i + out->n_instructions, out->out, out->dtype) : std::nullopt) {
    out->spec.factor = scaled->factor;
    out->out = scaled->out;
    ++out->n_instructions;
  }
  const auto& take = b.hints.last_token_take;
  if (out && take && b.index_at(i) > static_cast<int>(*take)) out->single_token = true;  // the head
  return out;
}

void cover(const PlanBuilder& b, size_t i, size_t n, Planned& out) {
  for (size_t j = i; j < i + n; ++j) out.covered.push_back(b.index_at(j));
}

}  // namespace

std::optional<Planned> match_linears(PlanBuilder& b, size_t i) {
  const auto first = linear_at(b, i);
  if (!first) return std::nullopt;
  const Version x = input_of(b, i, *first);
  Planned out;
  out.reads = {x};
  std::vector<LinearStep::Job> jobs;
  for (size_t at = i;;) {
    const auto linear = linear_at(b, at);
    const bool joins = linear && linear->x == first->x && input_of(b, at, *linear) == x &&
                       linear->spec.k == first->spec.k && linear->single_token == first->single_token;
    if (!joins) break;
    const size_t last = at + linear->n_instructions - 1;
    jobs.push_back(
        {.weight = linear->spec, .gate = {}, .out = linear->out, .dtype = linear->dtype, .promotes = linear->promotes});
    out.outs.push_back(b.written_at(last, linear->out));
    cover(b, at, linear->n_instructions, out);
    at = last + 1;
    if (linear->out == first->x) break;  // x is gone
  }
  out.step = std::make_unique<LinearStep>(first->x, std::move(jobs), first->single_token);
  return out;
}

std::optional<Planned> match_geglu(PlanBuilder& b, size_t i) {
  const auto gate = linear_at(b, i);
  if (!gate) return std::nullopt;
  const size_t after_gate = i + gate->n_instructions;
  const size_t gate_at = after_gate - 1;
  const auto* gelu = b.node_at<program::Gelu>(after_gate);
  size_t up_first = after_gate + 1, gelu_at = after_gate;
  std::optional<LinearAt> up;
  if (gelu) {
    up = linear_at(b, up_first);
  } else {
    up_first = after_gate;
    up = linear_at(b, up_first);
    if (up) gelu = b.node_at<program::Gelu>(gelu_at = up_first + up->n_instructions);
  }
  if (!up || !gelu || !(gelu->approximate == "tanh")) return std::nullopt;
  const size_t up_at = up_first + up->n_instructions - 1;
  const size_t multiply_at = std::max(up_at, gelu_at) + 1;
  const auto* multiply = b.node_at<program::Multiply>(multiply_at);
  if (!multiply) return std::nullopt;
  const Tid activated = gelu->out;
  const bool operands =
      (multiply->a == activated && multiply->b == up->out) || (multiply->b == activated && multiply->a == up->out);
  const bool flows = operands && !(activated == up->out) && gelu->x == gate->out && up->x == gate->x &&
                     input_of(b, i, *gate) == input_of(b, up_first, *up) &&
                     b.only_read_at(b.written_at(gate_at, gate->out), gelu_at) &&
                     b.only_read_at(b.written_at(gelu_at, activated), multiply_at) &&
                     b.only_read_at(b.written_at(up_at, up->out), multiply_at);
  const bool alike = gate->spec.n == up->spec.n && gate->spec.k == up->spec.k && gate->dtype == up->dtype &&
                     gate->promotes == up->promotes && gate->single_token == up->single_token;
  if (!flows || !alike) return std::nullopt;
  Planned out;
  cover(b, i, multiply_at - i + 1, out);
  out.reads = {input_of(b, i, *gate)};
  out.outs = {b.written_at(multiply_at, multiply->out)};
  std::vector<LinearStep::Job> jobs;
  jobs.push_back(
      {.weight = up->spec, .gate = gate->spec, .out = multiply->out, .dtype = up->dtype, .promotes = up->promotes});
  out.step = std::make_unique<LinearStep>(gate->x, std::move(jobs), gate->single_token);
  return out;
}

}  // namespace tessera::runtime
