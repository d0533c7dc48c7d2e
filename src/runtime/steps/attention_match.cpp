#include "runtime/steps/attention_match.h"

#include <algorithm>

#include "runtime/steps/attention_step.h"

namespace tessera::runtime {
namespace {

using program::TensorMeta;
using program::Tid;

bool has_shape(const TensorMeta* meta, DType dtype, std::initializer_list<int64_t> sizes) {
  return meta && meta->dtype == dtype &&
         std::equal(sizes.begin(), sizes.end(), meta->shape.begin(), meta->shape.end(),
                    [](int64_t a, const program::ShapeDim& b) { return a == b.value; });
}

bool caches_fit(const PlanBuilder& b, const program::AttentionHint& h) {
  const TensorMeta *k = b.buffer(h.k_cache), *v = b.buffer(h.v_cache);
  if (!k || !v || k->shape.size() != 4 || !(k->shape == v->shape) || k->dtype != v->dtype) return false;
  if (k->shape[2].value <= 0) return false;
  const int64_t heads = h.n_kv_heads, slots = k->shape[2].value;
  if (h.compressed) {
    const auto are_norms = [&](Tid tid) { return has_shape(b.buffer(tid), DType::kBF16, {1, heads, slots, 1}); };
    return h.window == 0 && quant::tq4_supports(h.head_dim) && are_norms(h.compressed->k_norms) &&
           are_norms(h.compressed->v_norms) && has_shape(k, DType::kU8, {1, heads, slots, h.head_dim / 2});
  }
  const bool float_like = k->dtype == DType::kF32 || k->dtype == DType::kF16 || k->dtype == DType::kBF16;
  return float_like && has_shape(k, k->dtype, {1, heads, slots, h.head_dim});
}

bool hint_is_sane(const PlanBuilder& b, const program::AttentionHint& h) {
  const auto in_range = [&](Tid tid) { return tid.idx < b.program.n_tensors(); };
  const auto are_in_range = [&](const program::CompressedHint& c) {
    return in_range(c.k_norms) && in_range(c.v_norms) && in_range(c.rotation) && in_range(c.boundaries) &&
           in_range(c.centroids);
  };
  const bool slots = in_range(h.q) && in_range(h.q_norm) && in_range(h.k_cache) && in_range(h.v_cache) &&
                     in_range(h.out) && (!h.k || in_range(*h.k)) && (!h.v || in_range(*h.v)) &&
                     (!h.k_norm || in_range(*h.k_norm)) && (!h.rope_periods || in_range(*h.rope_periods)) &&
                     h.start.idx < b.program.n_values && (!h.compressed || are_in_range(*h.compressed));
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

// The codebook is the program's; the rotation is applied by its structure and must be the one that has it.
std::optional<AttentionStep::Spec::Compression> compression(const PlanBuilder& b, const program::AttentionHint& h) {
  const auto rotation = b.float_constant(h.compressed->rotation);
  const auto boundaries = b.float_constant(h.compressed->boundaries),
             centroids = b.float_constant(h.compressed->centroids);
  AttentionStep::Spec::Compression out{.rotation = quant::Tq4Rotation(h.head_dim), .codebook = {}};
  if (!rotation || *rotation != out.rotation.matrix() || !boundaries || !centroids ||
      boundaries->size() != out.codebook.boundaries.size() || centroids->size() != out.codebook.centroids.size())
    return std::nullopt;
  std::copy(boundaries->begin(), boundaries->end(), out.codebook.boundaries.begin());
  std::copy(centroids->begin(), centroids->end(), out.codebook.centroids.begin());
  return out;
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
  if (h.compressed) {
    spec.compression = compression(b, h);
    if (!spec.compression) return std::nullopt;
  }
  const TensorMeta* cache = b.buffer(h.k_cache);
  spec.kv_dtype = cache->dtype;
  spec.n_slots = cache->shape[2].value;
  return spec;
}

}  // namespace

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

}  // namespace tessera::runtime
