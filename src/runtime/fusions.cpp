// The patterns a plan looks for, in order of preference. Each is a few lines over PlanBuilder: which nodes in a row,
// which versions flow between them, and the step that replaces them.
#include <algorithm>
#include <array>
#include <cmath>

#include "runtime/custom_kernels.h"
#include "runtime/plan_builder.h"
#include "runtime/steps/attention_step.h"
#include "runtime/steps/linear_match.h"
#include "runtime/steps/row_steps.h"

namespace tessera::runtime {
namespace {

using program::TensorMeta;
using program::Tid;

std::optional<float> scalar_constant(const PlanBuilder& b, Tid tid) {
  const auto values = b.float_constant(tid);
  if (!values || values->size() != 1) return std::nullopt;
  return (*values)[0];
}

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

bool has_dtype(const PlanBuilder& b, Tid constant, DType dtype) {
  const auto tensor = b.constant(constant);
  return tensor && tensor->dtype == dtype;
}

// ---- attention: a range the compiler hinted at ------------------------------------------------------------------

bool caches_fit(const PlanBuilder& b, const program::AttentionHint& h) {
  const TensorMeta *k = b.buffer(h.k_cache), *v = b.buffer(h.v_cache);
  if (!k || !v || k->shape.size() != 4 || !(k->shape == v->shape) || k->dtype != v->dtype) return false;
  const bool float_like = k->dtype == DType::kF32 || k->dtype == DType::kF16 || k->dtype == DType::kBF16;
  return float_like && k->shape[0].value == 1 && k->shape[1].value == h.n_kv_heads && k->shape[2].value > 0 &&
         k->shape[3].value == h.head_dim;
}

bool hint_is_sane(const PlanBuilder& b, const program::AttentionHint& h) {
  const auto in_range = [&](Tid tid) { return tid.idx < b.program.n_tensors(); };
  const bool slots = in_range(h.q) && in_range(h.q_norm) && in_range(h.k_cache) && in_range(h.v_cache) &&
                     in_range(h.out) && (!h.k || in_range(*h.k)) && (!h.v || in_range(*h.v)) &&
                     (!h.k_norm || in_range(*h.k_norm)) && (!h.rope_periods || in_range(*h.rope_periods)) &&
                     h.start.idx < b.program.n_values;
  return slots && h.begin < h.end && h.end <= b.chain.size() && h.n_heads > 0 && h.n_kv_heads > 0 &&
         h.n_heads % h.n_kv_heads == 0 && h.head_dim > 0 && h.head_dim % 16 == 0 && h.window >= 0 &&
         h.k.has_value() == h.v.has_value() && h.k.has_value() == h.k_norm.has_value() && caches_fit(b, h);
}

// The version of `slot` that holds before instruction `begin`.
Version version_before(const PlanBuilder& b, Tid slot, uint32_t begin) {
  for (int i = static_cast<int>(begin) - 1; i >= 0; --i) {
    const auto& writes = b.flow.at(i).writes;
    if (std::find(writes.begin(), writes.end(), slot.idx) != writes.end()) return {slot.idx, i};
  }
  return {slot.idx, Dataflow::kExternal};
}

std::optional<AttentionStep::Spec> attention_spec(PlanBuilder& b, const program::AttentionHint& h) {
  AttentionStep::Spec spec{.hint = h};
  auto q_norm = b.float_constant(h.q_norm);
  auto k_norm = h.k_norm ? b.float_constant(*h.k_norm) : std::vector<float>{};
  const auto d = static_cast<size_t>(h.head_dim);
  if (!q_norm || !k_norm || q_norm->size() != d || (h.k && k_norm->size() != d)) return std::nullopt;
  spec.q_norm = std::move(*q_norm);
  spec.k_norm = std::move(*k_norm);
  spec.rope = rope_spec(h.rope_base, h.head_dim);
  if (h.rope_periods) {
    const auto periods = b.float_constant(*h.rope_periods);
    if (!periods || periods->size() != d / 2) return std::nullopt;
    spec.rope.periods.assign(periods->begin(), periods->end());
  }
  const auto found = std::find(b.rope_specs.begin(), b.rope_specs.end(), spec.rope);
  spec.rope_index = static_cast<size_t>(found - b.rope_specs.begin());
  if (found == b.rope_specs.end()) b.rope_specs.push_back(spec.rope);
  const TensorMeta* cache = b.buffer(h.k_cache);
  spec.kv_dtype = cache->dtype;
  spec.n_slots = cache->shape[2].value;
  return spec;
}

std::optional<Planned> match_attention(PlanBuilder& b, size_t i) {
  const auto index = static_cast<uint32_t>(b.index_at(i));
  for (const program::AttentionHint& h : b.hints.attention) {
    // A range may begin with instructions that only compute values: match at its first tensor instruction.
    const bool first =
        index >= h.begin && index < h.end && (i == 0 || static_cast<uint32_t>(b.index_at(i - 1)) < h.begin);
    if (!first || !hint_is_sane(b, h)) continue;
    auto spec = attention_spec(b, h);
    if (!spec) continue;
    Planned out;
    out.step = std::make_unique<AttentionStep>(std::move(*spec));
    for (uint32_t covered = index; covered < h.end; ++covered) out.covered.push_back(static_cast<int>(covered));
    out.reads.push_back(version_before(b, h.q, h.begin));
    if (h.k) out.reads.push_back(version_before(b, *h.k, h.begin));
    if (h.v) out.reads.push_back(version_before(b, *h.v, h.begin));
    out.value_reads = {h.start.idx};
    const Version written = version_before(b, h.out, h.end);
    if (written.writer < static_cast<int>(h.begin)) continue;
    out.outs = {written};
    out.has_effect = h.k.has_value();
    return out;
  }
  return std::nullopt;
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
  out.has_effect = b.program.kind_of(norm->out) != program::TensorKind::kTemp;
  return out;
}

// [RMSNorm, Add, (Multiply by a scalar), (RMSNorm)]
std::optional<Planned> match_residual(PlanBuilder& b, size_t i) {
  const auto* norm = b.node_at<program::RMSNorm>(i);
  const auto* add = b.node_at<program::Add>(i + 1);
  if (!norm || !add || !b.only_read_at(b.written_at(i, norm->out), i + 1)) return std::nullopt;
  auto branch = norm_spec(b, *norm);
  if (!branch) return std::nullopt;
  const DType dtype = branch->weight_dtype;
  const bool norm_is_a = add->a == static_cast<const Tid&>(norm->out);
  const Tid residual = norm_is_a ? add->b : add->a;
  if (residual == static_cast<const Tid&>(norm->out)) return std::nullopt;
  ResidualStep::Spec spec{.branch = std::move(*branch), .residual = residual, .sum = add->out};
  Planned out;
  out.covered = {b.index_at(i), b.index_at(i + 1)};
  out.reads = {b.read_at(i, norm->x), b.read_at(i + 1, residual)};
  size_t last = i + 1;
  if (const auto* multiply = b.node_at<program::Multiply>(last + 1);
      multiply && multiply->a == spec.sum && b.only_read_at(b.written_at(last, spec.sum), last + 1)) {
    if (const auto factor = scalar_constant(b, multiply->b); factor && has_dtype(b, multiply->b, dtype)) {
      ++last;
      spec.scale = factor;
      spec.sum = multiply->out;
      out.covered.push_back(b.index_at(last));
    }
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

// [MetalKernel gguf_*_embedding, (Multiply by a scalar)]
std::optional<Planned> match_embedding(PlanBuilder& b, size_t i) {
  const auto* kernel = b.node_at<program::MetalKernel>(i);
  if (!kernel || kernel->inputs.size() != 2 || kernel->outputs.size() != 1) return std::nullopt;
  const auto name = parse_gguf_kernel(kernel->name.view());
  if (!name || name->op != GgufKernelName::Op::kEmbedding || !name->format->dequantize) return std::nullopt;
  const auto weight = b.constant(kernel->inputs[0]);
  if (!weight || weight->dtype != DType::kU8 || weight->shape.rank() != 2 || kernel->output_dtypes.size() != 1 ||
      weight->shape[1] % name->format->block_bytes != 0) {
    return std::nullopt;
  }
  EmbeddingStep::Spec spec{.format = name->format,
                           .weight = kernel->inputs[0],
                           .ids = kernel->inputs[1],
                           .out = kernel->outputs[0],
                           .n_rows = weight->shape[0],
                           .k = weight->shape[1] / name->format->block_bytes * name->format->block_values,
                           .dtype = kernel->output_dtypes[0]};
  Planned out;
  out.covered = {b.index_at(i)};
  out.reads = {b.read_at(i, spec.ids)};
  size_t last = i;
  if (const auto* multiply = b.node_at<program::Multiply>(i + 1);
      multiply && multiply->a == spec.out && b.only_read_at(b.written_at(i, spec.out), i + 1)) {
    if (const auto factor = scalar_constant(b, multiply->b); factor && has_dtype(b, multiply->b, spec.dtype)) {
      last = i + 1;
      spec.factor = *factor;
      spec.out = multiply->out;
      out.covered.push_back(b.index_at(last));
    }
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
  const auto cap = scalar_constant(b, divide->b);
  const bool chained =
      cap && scalar_constant(b, multiply->b) == cap && tanh->x == static_cast<const Tid&>(divide->out) &&
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
  out.has_effect = b.program.kind_of(multiply->out) != program::TensorKind::kTemp;
  return out;
}

constexpr std::array kFusions = {
    Fusion{"attention", match_attention},  // a hinted range: head norms, rotation, cache, attention
    Fusion{"embedding", match_embedding},  // rows of a packed table, scaled
    Fusion{"geglu", match_geglu},          // gate and up in one pass, gelu(gate) * up per output tile
    Fusion{"linear", match_linears},       // linears that read the same input quantize it once
    Fusion{"residual", match_residual},    // post norm, residual add, layer scale, next norm in one pass
    Fusion{"norm", match_norm},           Fusion{"soft_cap", match_soft_cap},
};

}  // namespace

std::span<const Fusion> fusions() { return kFusions; }

}  // namespace tessera::runtime
