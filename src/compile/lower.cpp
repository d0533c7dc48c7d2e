#include "compile/lower.h"

#include <fmt/ranges.h>

#include "base/check.h"
#include "compile/attention_emitter.h"
#include "compile/attention_group.h"
#include "compile/fused_kernels.h"
#include "compile/promotion.h"
#include "compile/sampler.h"

namespace tessera::compile {
namespace {

using graph::Node;
using graph::ValueId;
using program::Out;
using program::Tid;

static_assert(graph::kTokens == kDynamic);

class Lowering {
 public:
  Lowering(const graph::Graph& graph, const LowerOptions& options, std::vector<std::string>* warnings)
      : graph_(graph),
        options_(options),
        warnings_(warnings),
        uses_(graph),
        builder_(options.prefill_chunk),
        slots_(graph.types.size()),
        weights_(graph.types.size()),
        positions_(graph.nodes.size()),
        tokens_(input("tokens")),
        input_pos_(input("input_pos")),
        step_(builder_, tokens_, input_pos_) {}

  Result<program::Program> run() {
    if (options_.turboquant) TRY(check_compressible(graph_));
    TRY(choose_forms());
    std::optional<SamplerInputs> sampler;
    if (options_.sampling) sampler = add_sampler_inputs(builder_);
    for (const graph::Cache& cache : graph_.caches) add_cache(cache);
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      positions_[i] = builder_.position();
      const Node& node = graph_.nodes[i];
      slot(node.output) = std::visit([&](const auto& op) { return lower(op, node); }, node.op);
      if (std::holds_alternative<graph::Attention>(node.op)) hint_attention(i);
    }
    const graph::Type& type = graph_.type(graph_.output);
    if (sampler)
      builder_.make_output(emit_sampler(builder_, *sampler, slot(graph_.output), type.shape.back()), "token",
                           DType::kI64, {1});
    else
      builder_.make_output(slot(graph_.output), "logits", type.dtype, type.shape);
    return std::move(builder_).finish(std::move(hints_));
  }

 private:
  // --- values ---
  Tid& slot(ValueId value) { return slots_[static_cast<size_t>(value.index)]; }
  const Shape& shape(ValueId value) const { return graph_.type(value).shape; }
  DType dtype(ValueId value) const { return graph_.type(value).dtype; }

  Tid input(const std::string& name) {
    const ValueId value = graph_.find_input(name);
    CHECK(value.index >= 0);
    return slot(value) = builder_.input(name, dtype(value), shape(value));
  }

  template <typename N>
  Out emit(N node) {
    return builder_.emit_to_temp(std::move(node));
  }
  Out as_type(Out x, DType from, DType to) {
    return from == to ? x : emit(program::AsType{.x = x, .out = {}, .scalar_type = to});
  }

  // --- weights ---
  Status choose_forms() {
    std::vector<const graph::Weight*> converted;
    const auto maker = std::make_shared<AffineMaker>();  // lives as long as the constants it makes
    for (const graph::Weight& weight : graph_.weights) {
      auto& entry = weights_[static_cast<size_t>(weight.value.index)];
      entry = {&weight, TRY(choose_form(weight, shape(weight.value), options_.weights, maker))};
      const auto* dense = std::get_if<DenseForm>(&entry.form);
      if (dense && dense->is_converted) converted.push_back(&weight);
    }
    if (options_.weights.unknown == UnknownFormats::kRefuse && !converted.empty())
      return not_implemented("{}", fmt::join(describe_unknown(converted, "are refused"), "; "));
    if (warnings_) {
      for (std::string& line : describe_unknown(converted, "become bf16")) warnings_->push_back(std::move(line));
    }
    return {};
  }
  struct ChosenWeight {
    const graph::Weight* weight = nullptr;
    WeightForm form = PackedForm{};
  };
  const ChosenWeight& chosen(ValueId value) const {
    const ChosenWeight& found = weights_[static_cast<size_t>(value.index)];
    CHECK(found.weight != nullptr);
    return found;
  }
  const DenseForm* find_dense(ValueId value) const { return std::get_if<DenseForm>(&chosen(value).form); }

  // A weight of numbers.
  Tid dense(ValueId value) {
    const DenseForm* form = find_dense(value);
    CHECK(form != nullptr);
    return builder_.constant(chosen(value).weight->name, form->dtype, shape(value), form->data);
  }
  PackedWeight packed(ValueId value, const PackedForm& form) {
    const graph::Weight& w = *chosen(value).weight;
    const int64_t n = shape(value)[0], k = shape(value)[1];
    return {builder_.constant(w.name, DType::kU8, {n, w.format->bytes_for(k)}, form.data), w.format, n, k};
  }
  AffineWeight affine(ValueId value, const AffineData& data) {
    return add_affine_weight(builder_, chosen(value).weight->name, data);
  }
  // An operand of an elementwise op: a small weight or something computed.
  Tid operand(ValueId value) { return weights_[static_cast<size_t>(value.index)].weight ? dense(value) : slot(value); }

  // --- caches ---
  void add_cache(const graph::Cache& cache) {
    if (cache.window == 0 && options_.turboquant) return add_compressed(cache);
    const int64_t slots = cache.window > 0 ? cache.window + options_.prefill_chunk - 1 : options_.max_seq_len;
    const Shape size = {1, cache.n_kv_heads, slots, cache.head_dim};
    caches_.push_back({.keys = builder_.mutable_buffer(cache.name + ".k_cache", cache.dtype, size),
                       .values = builder_.mutable_buffer(cache.name + ".v_cache", cache.dtype, size),
                       .dtype = cache.dtype,
                       .slots = slots,
                       .head_dim = cache.head_dim,
                       .window = cache.window});
  }

  void add_compressed(const graph::Cache& cache) {
    const CompressedCache compressed = add_compressed_cache(
        builder_, cache.name, cache.n_kv_heads, options_.max_seq_len, cache.head_dim, options_.weights.dtype);
    caches_.push_back({.keys = compressed.k_codes,
                       .values = compressed.v_codes,
                       .slots = options_.max_seq_len,
                       .head_dim = cache.head_dim,
                       .compressed = compressed});
  }

  // --- ops ---
  Out lower(const graph::Embedding&, const Node& node) {
    const ValueId table = node.inputs[0], ids = node.inputs[1];
    const DType to = dtype(node.output);
    if (const DenseForm* form = find_dense(table)) {
      const Out rows = emit(program::Take{.x = dense(table), .out = {}, .index = slot(ids), .axis = 0});
      return as_type(rows, form->dtype, to);
    }
    const Out out = builder_.temp();
    if (const auto* form = std::get_if<PackedForm>(&chosen(table).form))
      emit_embedding(builder_, step_, packed(table, *form), slot(ids), shape(ids), to, out);
    else
      emit_affine_embedding(builder_, affine(table, std::get<AffineData>(chosen(table).form)), slot(ids), to, out);
    return out;
  }

  Out lower(const graph::Linear&, const Node& node) {
    const ValueId x = node.inputs[0], w = node.inputs[1];
    if (const DenseForm* form = find_dense(w)) {
      const Out columns = emit(program::Transpose{.x = dense(w), .out = {}, .perm = {1, 0}});  // (K, N)
      const Out out = emit(program::Addmm{.mat1 = slot(x), .mat2 = columns, .out = {}, .bias = {}});
      return as_type(out, promote(dtype(x), form->dtype), dtype(node.output));
    }
    const Out out = builder_.temp();
    if (const auto* form = std::get_if<PackedForm>(&chosen(w).form))
      emit_linear(builder_, step_, packed(w, *form), slot(x), shape(x), dtype(x), out);
    else
      emit_affine_linear(builder_, affine(w, std::get<AffineData>(chosen(w).form)), slot(x), dtype(x),
                         dtype(node.output), out);
    return out;
  }

  Out lower(const graph::RmsNorm& op, const Node& node) {
    program::RMSNorm norm{.x = slot(node.inputs[0]), .weight = {}, .out = {}, .eps = op.eps};
    if (node.inputs.size() == 2) norm.weight = operand(node.inputs[1]);
    return emit(norm);
  }

  Out lower(const graph::SplitHeads&, const Node& node) {
    program::Reshape reshape{.x = slot(node.inputs[0]), .out = {}, .shape = {}};
    for (int64_t size : shape(node.output)) reshape.shape.push_back(step_.dim(size));
    return emit(reshape);
  }

  Out lower(const graph::Attention& op, const Node& node) {
    const ValueId q = node.inputs[0];
    AttentionInputs inputs{.q = slot(q), .n_heads = shape(q)[2], .dtype = dtype(q)};
    if (op.rope_periods) inputs.periods = dense(node.inputs[2]);
    if (graph::writes_cache(node)) {
      inputs.k = slot(node.inputs[node.inputs.size() - 2]);
      inputs.v = slot(node.inputs.back());
    }
    return emit_attention(builder_, step_, op, caches_[static_cast<size_t>(op.cache.index)], inputs);
  }

  Out lower(const graph::Add&, const Node& node) {
    return emit(program::Add{.a = slot(node.inputs[0]), .b = operand(node.inputs[1]), .out = {}});
  }
  Out lower(const graph::Mul&, const Node& node) {
    return emit(program::Multiply{.a = slot(node.inputs[0]), .b = operand(node.inputs[1]), .out = {}});
  }
  Out lower(const graph::Scale& op, const Node& node) {
    const Tid factor = builder_.scalar(dtype(node.output), op.factor);
    return emit(program::Multiply{.a = slot(node.inputs[0]), .b = factor, .out = {}});
  }
  Out lower(const graph::Gelu&, const Node& node) {
    return emit(program::Gelu{.x = slot(node.inputs[0]), .out = {}, .approximate = builder_.string("tanh")});
  }
  Out lower(const graph::TakeLast&, const Node& node) {
    hints_.last_token_take = builder_.position();
    return emit(program::Take{.x = slot(node.inputs[0]), .out = {}, .index = -1, .axis = 1});
  }
  Out lower(const graph::Cast& op, const Node& node) {
    return emit(program::AsType{.x = slot(node.inputs[0]), .out = {}, .scalar_type = op.to});
  }
  Out lower(const graph::SoftCap& op, const Node& node) {
    const Tid cap = builder_.scalar(dtype(node.output), op.cap);
    const Out ratio = emit(program::Divide{.a = slot(node.inputs[0]), .b = cap, .out = {}});
    const Out tanh = emit(program::Tanh{.x = ratio, .out = {}});
    return emit(program::Multiply{.a = tanh, .b = cap, .out = {}});
  }

  // --- hints ---
  void hint_attention(size_t index) {
    const Node& node = graph_.nodes[index];
    const auto& op = std::get<graph::Attention>(node.op);
    const auto group = find_attention_group(graph_, uses_, index);
    if (!group) return;
    const CacheBuffers& cache = caches_[static_cast<size_t>(op.cache.index)];
    program::AttentionHint hint;
    hint.begin = positions_[group->first];
    hint.end = builder_.position();
    hint.q = slot(group->q);
    hint.q_norm = dense(group->q_norm);
    if (group->k) {
      hint.k = slot(*group->k);
      hint.v = slot(*group->v);
      hint.k_norm = dense(*group->k_norm);
    }
    hint.k_cache = cache.keys;
    hint.v_cache = cache.values;
    hint.out = Tid{slot(node.output).idx};
    hint.start = step_.start();
    hint.n_heads = static_cast<int32_t>(shape(node.inputs[0])[2]);
    hint.n_kv_heads = static_cast<int32_t>(graph_.cache(op.cache).n_kv_heads);
    hint.head_dim = static_cast<int32_t>(cache.head_dim);
    hint.window = static_cast<int32_t>(cache.window);
    hint.eps = group->eps;
    hint.scale = static_cast<float>(op.scale);
    hint.rope_base = static_cast<float>(op.rope_base);
    if (op.rope_periods) hint.rope_periods = dense(node.inputs[2]);
    if (const auto& compressed = cache.compressed)
      hint.compressed = {compressed->k_norms, compressed->v_norms, compressed->rotation, compressed->boundaries,
                         compressed->centroids};
    hints_.attention.push_back(hint);
  }

  const graph::Graph& graph_;
  const LowerOptions options_;
  std::vector<std::string>* const warnings_;
  const graph::Uses uses_;
  ProgramBuilder builder_;
  std::vector<Tid> slots_;             // by ValueId, of inputs and computed values
  std::vector<ChosenWeight> weights_;  // by ValueId
  std::vector<CacheBuffers> caches_;   // by CacheId
  std::vector<uint32_t> positions_;    // by node: its first instruction
  const Tid tokens_, input_pos_;       // in the order of the program's inputs
  StepValues step_;
  program::Hints hints_;
};

}  // namespace

Result<program::Program> lower(const graph::Graph& graph, const LowerOptions& options,
                               std::vector<std::string>* warnings) {
  return Lowering(graph, options, warnings).run();
}

}  // namespace tessera::compile
