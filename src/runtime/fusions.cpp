// The patterns a plan looks for, in order of preference. Each is a few lines over PlanBuilder: which nodes in a row,
// which versions flow between them, and the step that replaces them.
#include <array>

#include "runtime/custom_kernels.h"
#include "runtime/plan_builder.h"
#include "runtime/steps/attention_match.h"
#include "runtime/steps/linear_match.h"
#include "runtime/steps/row_steps.h"

namespace tessera::runtime {
namespace {

using program::Tid;

// The norm with its weight as f32; nothing when the weight is not a constant.
std::optional<NormSpec> norm_spec(const PlanBuilder& b, const program::RMSNorm& norm) {
  NormSpec spec{.x = norm.x, .eps = norm.eps};
  if (!norm.weight) return spec;
  auto weight = b.float_constant(*norm.weight);
  if (!weight) return std::nullopt;
  spec.weight = std::move(*weight);
  spec.weight_dtype = b.constant(*norm.weight)->dtype;
  return spec;
}

// ---- norms and the residual stream ------------------------------------------------------------------------------

std::optional<Planned> match_norm(PlanBuilder& b, size_t i) {
  const auto* norm = b.node_at<program::RMSNorm>(i);
  if (!norm) return std::nullopt;
  auto spec = norm_spec(b, *norm);
  if (!spec) return std::nullopt;
  Planned out;
  out.covered = {b.index_at(i)};
  out.step = std::make_unique<NormStep>(std::move(*spec), norm->out, Instructions{b.program.main_chain, out.covered});
  out.reads = {b.read_at(i, norm->x)};
  out.outs = {b.written_at(i, norm->out)};
  return out;
}

// [RMSNorm, Add, (Multiply by a scalar), (RMSNorm)]
std::optional<Planned> match_residual(PlanBuilder& b, size_t i) {
  const auto* norm = b.node_at<program::RMSNorm>(i);
  const auto* add = b.node_at<program::Add>(i + 1);
  if (!norm || !add || !b.only_read_at(b.written_at(i, norm->out), i + 1)) return std::nullopt;
  auto branch = norm_spec(b, *norm);
  if (!branch) return std::nullopt;
  const bool norm_is_a = add->a == static_cast<const Tid&>(norm->out);
  const Tid residual = norm_is_a ? add->b : add->a;
  if (residual == static_cast<const Tid&>(norm->out)) return std::nullopt;
  ResidualStep::Spec spec{.branch = std::move(*branch), .residual = residual, .sum = add->out};
  Planned out;
  out.covered = {b.index_at(i), b.index_at(i + 1)};
  out.reads = {b.read_at(i, norm->x), b.read_at(i + 1, residual)};
  size_t last = i + 1;
  // Without a weight the rows' dtype is not known here, and a scalar of another one would promote them.
  if (!spec.branch.weight.empty())
    if (const auto scaled = b.scaled_at(last + 1, spec.sum, spec.branch.weight_dtype)) {
      ++last;
      spec.scale = scaled->factor;
      spec.sum = scaled->out;
      out.covered.push_back(b.index_at(last));
    }
  out.outs = {b.written_at(last, spec.sum)};
  if (const auto* next = b.node_at<program::RMSNorm>(last + 1); next && next->x == spec.sum) {
    if (auto next_norm = norm_spec(b, *next)) {
      ++last;
      spec.next = std::move(*next_norm);
      spec.next_out = next->out;
      out.covered.push_back(b.index_at(last));
      out.outs.push_back(b.written_at(last, next->out));
    }
  }
  spec.instructions = {b.program.main_chain, out.covered};
  out.step = std::make_unique<ResidualStep>(std::move(spec));
  return out;
}

// ---- the ends of the model --------------------------------------------------------------------------------------

// Rows of a table at position `i`: so many instructions.
struct EmbeddingAt {
  EmbeddingStep::Spec spec;
  size_t n_instructions = 1;
};

// MetalKernel gguf_*_embedding
std::optional<EmbeddingAt> packed_embedding(const PlanBuilder& b, size_t i) {
  const auto* kernel = b.node_at<program::MetalKernel>(i);
  if (!kernel || kernel->inputs.size() != 2 || kernel->outputs.size() != 1) return std::nullopt;
  const auto name = parse_gguf_kernel(kernel->name.view());
  if (!name || name->op != GgufKernelName::Op::kEmbedding || !name->format->dequantize) return std::nullopt;
  const auto weight = b.constant(kernel->inputs[0]);
  if (!weight || weight->dtype != DType::kU8 || weight->shape.rank() != 2 || weight->n_elements() == 0 ||
      weight->shape[1] % name->format->block_bytes != 0 || kernel->output_dtypes.size() != 1 ||
      !is_activation_dtype(kernel->output_dtypes[0])) {
    return std::nullopt;
  }
  return EmbeddingAt{{.format = name->format,
                      .weight = kernel->inputs[0],
                      .ids = kernel->inputs[1],
                      .out = kernel->outputs[0],
                      .n_rows = weight->shape[0],
                      .k = weight->shape[1] / name->format->block_bytes * name->format->block_values,
                      .dtype = kernel->output_dtypes[0]}};
}

// [Take rows of a constant of floats by the program's tokens, (AsType)]. Other indices may be negative, which a step
// refuses.
std::optional<EmbeddingAt> dense_embedding(const PlanBuilder& b, size_t i) {
  const auto* take = b.node_at<program::Take>(i);
  const auto& map = b.program.input_map;
  if (!take || take->axis != 0 || take->index.kind != program::IntOrVidOrTid::Kind::kTid || map.empty() ||
      map[0].type != program::SlotType::kTensor || take->index.tid.idx != map[0].idx)
    return std::nullopt;
  const DType ids = b.program.inputs[0].dtype;
  if (ids != DType::kI32 && ids != DType::kI64) return std::nullopt;
  const auto weight = b.constant(take->x);
  if (!weight || weight->shape.rank() != 2 || !is_activation_dtype(weight->dtype) || weight->n_elements() == 0)
    return std::nullopt;
  EmbeddingAt out{{.format = quant::format_of_floats(weight->dtype),
                   .weight = take->x,
                   .ids = take->index.tid,
                   .out = take->out,
                   .n_rows = weight->shape[0],
                   .k = weight->shape[1],
                   .dtype = weight->dtype}};
  const auto* cast = b.node_at<program::AsType>(i + 1);
  if (cast && cast->x == out.spec.out && is_activation_dtype(cast->scalar_type) &&
      b.only_read_at(b.written_at(i, take->out), i + 1)) {
    out.spec.out = cast->out;
    out.spec.dtype = cast->scalar_type;
    out.n_instructions = 2;
  }
  return out;
}

// [a table's rows, (Multiply by a scalar)]
std::optional<Planned> match_embedding(PlanBuilder& b, size_t i) {
  auto at = packed_embedding(b, i);
  if (!at) at = dense_embedding(b, i);
  if (!at) return std::nullopt;
  EmbeddingStep::Spec spec = at->spec;
  Planned out;
  for (size_t j = 0; j < at->n_instructions; ++j) out.covered.push_back(b.index_at(i + j));
  out.reads = {b.read_at(i, spec.ids)};
  size_t last = i + at->n_instructions - 1;
  if (const auto scaled = b.scaled_at(last + 1, spec.out, spec.dtype)) {
    ++last;
    spec.factor = scaled->factor;
    spec.out = scaled->out;
    out.covered.push_back(b.index_at(last));
  }
  out.outs = {b.written_at(last, spec.out)};
  out.step = std::make_unique<EmbeddingStep>(spec);
  return out;
}

// [(AsType f32), Divide by c, Tanh, Multiply by c]
std::optional<Planned> match_soft_cap(PlanBuilder& b, size_t i) {
  Planned out;
  const auto* cast = b.node_at<program::AsType>(i);
  const size_t at = cast ? i + 1 : i;
  const auto* divide = b.node_at<program::Divide>(at);
  const auto* tanh = b.node_at<program::Tanh>(at + 1);
  const auto* multiply = b.node_at<program::Multiply>(at + 2);
  if (!divide || !tanh || !multiply || (cast && cast->scalar_type != DType::kF32)) return std::nullopt;
  const auto cap = b.scalar_constant(divide->b);
  const bool chained =
      cap && b.scalar_constant(multiply->b) == cap && tanh->x == static_cast<const Tid&>(divide->out) &&
      multiply->a == static_cast<const Tid&>(tanh->out) && (!cast || divide->a == static_cast<const Tid&>(cast->out)) &&
      (!cast || b.only_read_at(b.written_at(i, cast->out), at)) &&
      b.only_read_at(b.written_at(at, divide->out), at + 1) && b.only_read_at(b.written_at(at + 1, tanh->out), at + 2);
  if (!chained) return std::nullopt;
  const Tid x = cast ? cast->x : divide->a;
  for (size_t j = i; j <= at + 2; ++j) out.covered.push_back(b.index_at(j));
  out.reads = {b.read_at(i, x)};
  out.step = std::make_unique<SoftCapStep>(x, multiply->out, *cap, cast != nullptr,
                                           Instructions{b.program.main_chain, out.covered});
  out.outs = {b.written_at(at + 2, multiply->out)};
  return out;
}

constexpr std::array kFusions = {
    Fusion{"attention", match_attention},  // a hinted range: head norms, rotation, cache, attention
    Fusion{"embedding", match_embedding},  // rows of a table, scaled
    Fusion{"geglu", match_geglu},          // gate and up in one pass, gelu(gate) * up per output tile
    Fusion{"linear", match_linears},       // linears that read the same input quantize it once
    Fusion{"residual", match_residual},    // post norm, residual add, layer scale, next norm in one pass
    Fusion{"norm", match_norm},           Fusion{"soft_cap", match_soft_cap},
};

}  // namespace

std::span<const Fusion> fusions() { return kFusions; }

}  // namespace tessera::runtime
