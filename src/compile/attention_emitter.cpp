#include "compile/attention_emitter.h"

#include "compile/promotion.h"

namespace tessera::compile {
namespace {

using program::Out;
using program::Tid;
using program::Vid;

class AttentionEmitter {
 public:
  AttentionEmitter(ProgramBuilder& builder, StepValues& step, const graph::Attention& op, const CacheBuffers& cache,
                   const AttentionInputs& inputs)
      : builder_(builder), step_(step), op_(op), cache_(cache), inputs_(inputs) {}

  Out run() {
    const Out q = rotate(heads_first(inputs_.q));
    if (inputs_.k) {
      const Out k = rotate(heads_first(*inputs_.k));
      const Out v = heads_first(*inputs_.v);
      write(k, v);
    }
    Out attended = attend(q);
    if (!cache_.compressed && promote(inputs_.dtype, cache_.dtype) != inputs_.dtype)
      attended = emit(program::AsType{.x = attended, .out = {}, .scalar_type = inputs_.dtype});
    const Out tokens_first = heads_first(attended);  // the permutation is its own inverse
    return emit(program::Reshape{
        .x = tokens_first, .out = {}, .shape = {1, step_.n_tokens(), inputs_.n_heads * cache_.head_dim}});
  }

 private:
  static constexpr int32_t kSlotAxis = 2;

  template <typename N>
  Out emit(N node) {
    return builder_.emit_to_temp(std::move(node));
  }
  template <typename N>
  Vid compute(program::IntOrVid a, program::IntOrVid b) {
    const program::VidOut out = builder_.value();
    builder_.emit(N{.a = a, .b = b, .out = out});
    return out;
  }

  void write(Tid k, Tid v) {
    if (cache_.window > 0)
      write_ring(k, v);
    else if (cache_.compressed)
      write_compressed(*cache_.compressed, k, v);
    else
      write_flat(k, v);
  }
  Out attend(Tid q) {
    if (cache_.window > 0) return attend_ring(q);
    return cache_.compressed ? attend_compressed(*cache_.compressed, q) : attend_flat(q);
  }

  // (1, T, n, D) <-> (1, n, T, D)
  Out heads_first(Tid x) { return emit(program::Transpose{.x = x, .out = {}, .perm = {0, 2, 1, 3}}); }

  Out rotate(Tid x) {
    return emit(program::Rope{.x = x,
                              .out = {},
                              .dims = static_cast<int32_t>(cache_.head_dim),
                              .offset = step_.start(),
                              .freqs = inputs_.periods,
                              .base = static_cast<float>(op_.rope_base)});
  }

  // Overwrites slots [start, stop) of a buffer in place.
  void update(Tid buffer, Tid rows, program::IntOrVid start, program::IntOrVid stop) {
    builder_.emit(program::SliceUpdate{
        .dst = buffer, .update = rows, .out = Out{buffer}, .axis = kSlotAxis, .start = start, .stop = stop});
  }
  Out slice(Tid x, program::IntOrVid start, program::IntOrVid stop) {
    return emit(program::Slice{.x = x, .out = {}, .axis = kSlotAxis, .start = start, .stop = stop});
  }

  void append(Tid buffer, Tid rows) { update(buffer, rows, step_.start(), step_.end()); }
  void write_flat(Tid k, Tid v) {
    append(cache_.keys, k);
    append(cache_.values, v);
  }
  void write_compressed(const CompressedCache& cache, Tid k, Tid v) {
    const auto write = [&](Tid codes, Tid norms, Tid x) {
      const CompressedVectors vectors = emit_compress(builder_, step_, cache, x, inputs_.dtype);
      append(codes, vectors.codes);
      append(norms, vectors.norms);
    };
    write(cache.k_codes, cache.k_norms, k);
    write(cache.v_codes, cache.v_norms, v);
  }

  // The step's tokens fill the ring from `first_slot` to its end, and what is left goes to its beginning.
  void write_ring(Tid k, Tid v) {
    const StepValues::Ring& ring = step_.ring(cache_.slots, cache_.window);
    const Out k_head = slice(k, 0, ring.room);
    const program::VidOut n_head = builder_.value();
    builder_.emit(program::SymSize{.a = k_head, .dim = kSlotAxis, .out = n_head});
    const Vid head_end = compute<program::AddInt>(ring.first_slot, n_head);
    const Vid n_tail = compute<program::SubtractInt>(step_.n_tokens(), n_head);
    const auto write = [&](Tid buffer, Tid all, Tid head) {
      update(buffer, head, ring.first_slot, head_end);
      update(buffer, slice(all, n_head, step_.n_tokens()), 0, n_tail);
    };
    write(cache_.keys, k, k_head);
    write(cache_.values, v, slice(v, 0, ring.room));
  }

  Out attend_ring(Tid q) {
    const Tid mask = step_.ring(cache_.slots, cache_.window).mask;
    return sdpa(q, cache_.keys, cache_.values, mask);
  }

  Out attend_flat(Tid q) {
    const Out k = slice(cache_.keys, 0, step_.end());
    const Out v = slice(cache_.values, 0, step_.end());
    return sdpa(q, k, v, std::nullopt);
  }

  // Turning q and k alike changes no product; the values' weighted sum is turned back.
  Out attend_compressed(const CompressedCache& cache, Tid q) {
    const Out turned = emit_rotation(builder_, cache, q);
    const Out k = emit_decompress(builder_, step_, cache, cache.k_codes, cache.k_norms, inputs_.dtype);
    const Out v = emit_decompress(builder_, step_, cache, cache.v_codes, cache.v_norms, inputs_.dtype);
    return emit_rotation(builder_, cache, sdpa(turned, k, v, std::nullopt));
  }

  // Without a mask: causal, the last query aligned with the last key.
  Out sdpa(Tid q, Tid k, Tid v, std::optional<Tid> mask) {
    return emit(program::Sdpa{.q = q,
                              .k = k,
                              .v = v,
                              .out = {},
                              .scale = static_cast<float>(op_.scale),
                              .mask = mask,
                              .causal = !mask.has_value()});
  }

  ProgramBuilder& builder_;
  StepValues& step_;
  const graph::Attention& op_;
  const CacheBuffers& cache_;
  const AttentionInputs& inputs_;
};

}  // namespace

Out emit_attention(ProgramBuilder& builder, StepValues& step, const graph::Attention& op, const CacheBuffers& cache,
                   const AttentionInputs& inputs) {
  return AttentionEmitter(builder, step, op, cache, inputs).run();
}

}  // namespace tessera::compile
