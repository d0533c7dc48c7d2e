#include "runtime/steps/attention_step.h"

#include <algorithm>

#include "ops/cast.h"
#include "runtime/steps/each_row.h"

namespace tessera::runtime {

using ops::Tensor;

struct AttentionStep::Buffer {
  Tensor* rows;             // (n_kv_heads, n_slots, head_dim), or codes
  Tensor* norms = nullptr;  // of codes
};

// What prepare_head needs: the projections of all tokens and where they go.
struct AttentionStep::Step {
  Tensor q, k, v;  // (1, T, heads * head_dim); k and v unset when the layer owns none
  Buffer keys, values;
  float* queries;  // (n_kv_heads, T, heads of a group, head_dim), f32: what is written
  int64_t start, n_tokens;
  const RopeTable& rope;
};

Status AttentionStep::check(const Tensor& x, int64_t n_heads, int64_t n_tokens, std::string_view what) const {
  if (is_activation_dtype(x.dtype) && x.n_elements() == n_tokens * n_heads * spec_.hint.head_dim) return {};
  return invalid_argument("attention: {} is {} {}, expected {} tokens x {} heads x {} floats", what, name_of(x.dtype),
                          to_string(x.shape), n_tokens, n_heads, spec_.hint.head_dim);
}

Result<Tensor*> AttentionStep::cache(Slots& slots, program::Tid tid, DType dtype, int64_t row_values) const {
  Tensor* home = slots.find(tid);
  if (!home) return invalid_argument("attention: the cache t{} is unset", tid.idx);
  if (home->dtype != dtype || home->n_elements() != spec_.hint.n_kv_heads * spec_.n_slots * row_values)
    return invalid_argument("attention: the cache t{} holds {} {}, expected {} heads x {} slots x {} {}", tid.idx,
                            name_of(home->dtype), to_string(home->shape), spec_.hint.n_kv_heads, spec_.n_slots,
                            row_values, name_of(dtype));
  // Whoever else looks at the old bytes keeps them, as in every update in place.
  if (!spec_.hint.k || home->unique()) return home;
  Tensor copy = TRY(ops::clone(*home));
  TRY(slots.set(tid, std::move(copy)));
  return home;
}

void AttentionStep::write(StepContext& context, const Buffer& buffer, int64_t kv_head, int64_t position,
                          float* values) const {
  const int64_t d = spec_.hint.head_dim, row = kv_head * spec_.n_slots + position % spec_.n_slots;
  Tensor& cache = *buffer.rows;
  if (!spec_.compression)
    return context.floats.store(cache.dtype, values, cache.data + static_cast<size_t>(row * d) * size_of(cache.dtype),
                                d);
  spec_.compression->rotation.apply(values);
  buffer.norms->as<BF16>()[row] =
      quant::tq4_compress(values, d, spec_.compression->codebook.boundaries.data(), cache.as<uint8_t>() + row * d / 2);
}

void AttentionStep::prepare_head(StepContext& context, const Step& step, int64_t token, int64_t kv_head,
                                 float* scratch) const {
  const auto& hint = spec_.hint;
  const auto& f = context.floats;
  const int64_t d = hint.head_dim, half = d / 2, group = hint.n_heads / hint.n_kv_heads;
  const float *cos = step.rope.cos(token), *sin = step.rope.sin(token);
  // Head `head` of n in x, at `to` if it is not f32 already.
  const auto load = [&](const Tensor& x, int64_t n, int64_t head, float* to) -> const float* {
    const std::byte* at = x.data + static_cast<size_t>((token * n + head) * d) * size_of(x.dtype);
    if (x.dtype == DType::kF32) return reinterpret_cast<const float*>(at);
    f.load(x.dtype, at, to, d);
    return to;
  };
  for (int64_t i = 0; i < group; ++i) {
    float* q = step.queries + ((kv_head * step.n_tokens + token) * group + i) * d;
    f.rms_norm(load(step.q, hint.n_heads, kv_head * group + i, q), spec_.q_norm.data(), hint.eps, q, d);
    f.rope(q, cos, sin, half);
    if (spec_.compression) spec_.compression->rotation.apply(q);
  }
  if (!hint.k) return;
  f.rms_norm(load(step.k, hint.n_kv_heads, kv_head, scratch), spec_.k_norm.data(), hint.eps, scratch, d);
  f.rope(scratch, cos, sin, half);
  write(context, step.keys, kv_head, step.start + token, scratch);
  f.rms_norm(load(step.v, hint.n_kv_heads, kv_head, scratch), nullptr, hint.eps, scratch, d);
  write(context, step.values, kv_head, step.start + token, scratch);
}

Status AttentionStep::run(StepContext& context) const {
  const auto& hint = spec_.hint;
  Slots& slots = context.slots();
  Workspace& ws = context.workspace;
  const int64_t start = TRY(slots.get_int(hint.start));
  const Tensor q = TRY(slots.get(hint.q));
  const int64_t row = int64_t{hint.n_heads} * hint.head_dim;
  const int64_t n_tokens = q.n_elements() / row;
  TRY(check(q, hint.n_heads, n_tokens, "q"));
  if (start < 0 || n_tokens > spec_.n_slots || (hint.window == 0 && start + n_tokens > spec_.n_slots) ||
      (hint.window > 0 && hint.window + n_tokens - 1 > spec_.n_slots && start + n_tokens > spec_.n_slots)) {
    return make_error(ErrorCode::kOutOfRange,
                      "attention: {} tokens at position {} do not fit a cache of {} slots (window {})", n_tokens, start,
                      spec_.n_slots, hint.window);
  }
  if (ws.rope.size() <= spec_.rope_index) ws.rope.resize(spec_.rope_index + 1);
  RopeTable& rope = ws.rope[spec_.rope_index];
  rope.prepare(spec_.rope, start, n_tokens);

  Step step{.q = q,
            .k = {},
            .v = {},
            .keys = {},
            .values = {},
            .queries = ws.q.reserve<float>(n_tokens * row),
            .start = start,
            .n_tokens = n_tokens,
            .rope = rope};
  if (hint.k) {
    step.k = TRY(slots.get(*hint.k));
    step.v = TRY(slots.get(*hint.v));
    TRY(check(step.k, hint.n_kv_heads, n_tokens, "k"));
    TRY(check(step.v, hint.n_kv_heads, n_tokens, "v"));
  }
  const int64_t row_values = hint.compressed ? hint.head_dim / 2 : hint.head_dim;
  step.keys.rows = TRY(cache(slots, hint.k_cache, spec_.kv_dtype, row_values));
  step.values.rows = TRY(cache(slots, hint.v_cache, spec_.kv_dtype, row_values));
  std::optional<kernels::cpu::CompressedKv> compressed;
  if (hint.compressed) {
    step.keys.norms = TRY(cache(slots, hint.compressed->k_norms, DType::kBF16, 1));
    step.values.norms = TRY(cache(slots, hint.compressed->v_norms, DType::kBF16, 1));
    compressed = {step.keys.norms->as<BF16>(), step.values.norms->as<BF16>(),
                  spec_.compression->codebook.centroids.data()};
  }
  Tensor out = TRY(Tensor::allocate(q.dtype, q.shape));
  const bool is_stored = out.dtype != DType::kF32 || spec_.compression;
  float* attended = is_stored ? ws.out.reserve<float>(n_tokens * row) : out.as<float>();
  // A few tokens' heads at a time, of a few tokens a few heads.
  const int64_t n_heads = n_tokens * hint.n_kv_heads;
  const int64_t heads_of_task = std::clamp<int64_t>(n_heads / (4 * context.pool.size()), 1, 2 * hint.n_kv_heads);
  for_each_row(context, n_heads, heads_of_task, hint.head_dim, [&](int64_t i, float* scratch) {
    prepare_head(context, step, i / hint.n_kv_heads, i % hint.n_kv_heads, scratch);
  });
  kernels::cpu::attention(context.pool, context.floats,
                          {.q = step.queries,
                           .out = attended,
                           .k_cache = step.keys.rows->data,
                           .v_cache = step.values.rows->data,
                           .kv_dtype = spec_.kv_dtype,
                           .compressed = compressed,
                           .n_slots = spec_.n_slots,
                           .start = start,
                           .n_tokens = n_tokens,
                           .n_heads = hint.n_heads,
                           .n_kv_heads = hint.n_kv_heads,
                           .head_dim = hint.head_dim,
                           .window = hint.window,
                           .scale = hint.scale},
                          ws.attention);
  if (!is_stored) return slots.set(hint.out, std::move(out));
  context.pool.parallel_for(n_tokens, 8, [&](int64_t begin, int64_t end) {
    if (spec_.compression)
      for (int64_t head = begin * hint.n_heads; head < end * hint.n_heads; ++head)
        spec_.compression->rotation.apply(attended + head * hint.head_dim);
    context.floats.store(out.dtype, attended + begin * row,
                         out.data + static_cast<size_t>(begin * row) * size_of(out.dtype), (end - begin) * row);
  });
  return slots.set(hint.out, std::move(out));
}

int64_t AttentionStep::cache_bytes(int64_t position) const {
  const int64_t visible = spec_.hint.window > 0 ? std::min<int64_t>(position + 1, spec_.hint.window) : position + 1;
  const int64_t vector_bytes = spec_.compression ? quant::tq4_bytes(spec_.hint.head_dim)
                                                 : spec_.hint.head_dim * static_cast<int64_t>(size_of(spec_.kv_dtype));
  return 2 * visible * spec_.hint.n_kv_heads * vector_bytes;
}

}  // namespace tessera::runtime
