#include "compile/lower.h"

#include "base/check.h"
#include "compile/attention_emitter.h"
#include "compile/attention_group.h"
#include "compile/fused_kernels.h"
#include "compile/promotion.h"

namespace tessera::compile {
namespace {

using graph::Node;
using graph::ValueId;
using program::Out;
using program::Tid;

static_assert(graph::kTokens == kDynamic);

// Formats whose values are numbers of their own, not blocks: plain tensors of a program.
std::optional<DType> dense_dtype(const quant::Format& format) {
  switch (format.type) {
    case quant::GgmlType::kF32:
      return DType::kF32;
    case quant::GgmlType::kF16:
      return DType::kF16;
    case quant::GgmlType::kBF16:
      return DType::kBF16;
    default:
      return std::nullopt;
  }
}

class Lowering {
 public:
  Lowering(const graph::Graph& graph, const LowerOptions& options)
      : graph_(graph),
        options_(options),
        uses_(graph),
        builder_(options.prefill_chunk),
        slots_(graph.types.size()),
        weights_(graph.types.size(), nullptr),
        positions_(graph.nodes.size()),
        tokens_(input("tokens")),
        input_pos_(input("input_pos")),
        step_(builder_, tokens_, input_pos_) {}

  Result<program::Program> run() {
    TRY(check_weights());
    for (const graph::Cache& cache : graph_.caches) add_cache(cache);
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      positions_[i] = builder_.position();
      const Node& node = graph_.nodes[i];
      slot(node.output) = std::visit([&](const auto& op) { return lower(op, node); }, node.op);
      if (std::holds_alternative<graph::Attention>(node.op)) hint_attention(i);
    }
    const graph::Type& type = graph_.type(graph_.output);
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
    const Out out = node.out = builder_.temp();
    builder_.emit(std::move(node));
    return out;
  }
  Out as_type(Out x, DType from, DType to) {
    return from == to ? x : emit(program::AsType{.x = x, .out = {}, .scalar_type = to});
  }

  // --- weights ---
  Status check_weights() {
    for (const graph::Weight& weight : graph_.weights) {
      weights_[static_cast<size_t>(weight.value.index)] = &weight;
      if (weight.format->block_values == 1 && !dense_dtype(*weight.format))
        return not_implemented("tensor {}: a program cannot compute with {} weights", weight.name, weight.format->name);
      if (weight.format->block_values > 1 && shape(weight.value).rank() != 2)
        return not_implemented("tensor {}: {} weights must be matrices", weight.name, weight.format->name);
    }
    return {};
  }
  const graph::Weight& weight(ValueId value) const {
    const graph::Weight* found = weights_[static_cast<size_t>(value.index)];
    CHECK(found != nullptr);
    return *found;
  }
  static program::Data data(const graph::Weight& weight) { return {weight.bytes, weight.owner, weight.mapped}; }

  // A weight of a dense format, as it is stored.
  Tid dense(ValueId value) {
    const graph::Weight& w = weight(value);
    return builder_.constant(w.name, *dense_dtype(*w.format), shape(value), data(w));
  }
  PackedWeight packed(ValueId value) {
    const graph::Weight& w = weight(value);
    const int64_t n = shape(value)[0], k = shape(value)[1];
    return {builder_.constant(w.name, DType::kU8, {n, w.format->bytes_for(k)}, data(w)), w.format, n, k};
  }
  bool is_dense(ValueId value) const { return dense_dtype(*weight(value).format).has_value(); }
  // An operand of an elementwise op: a small weight or something computed.
  Tid operand(ValueId value) { return weights_[static_cast<size_t>(value.index)] ? dense(value) : slot(value); }

  // --- caches ---
  void add_cache(const graph::Cache& cache) {
    const int64_t slots = cache.window > 0 ? cache.window + options_.prefill_chunk - 1 : options_.max_seq_len;
    const Shape size = {1, cache.n_kv_heads, slots, cache.head_dim};
    caches_.push_back({.keys = builder_.mutable_buffer(cache.name + ".k_cache", cache.dtype, size),
                       .values = builder_.mutable_buffer(cache.name + ".v_cache", cache.dtype, size),
                       .dtype = cache.dtype,
                       .slots = slots,
                       .head_dim = cache.head_dim,
                       .window = cache.window});
  }

  // --- ops ---
  Out lower(const graph::Embedding&, const Node& node) {
    const ValueId table = node.inputs[0], ids = node.inputs[1];
    const DType to = dtype(node.output);
    if (is_dense(table)) {
      const Out rows = emit(program::Take{.x = dense(table), .out = {}, .index = slot(ids), .axis = 0});
      return as_type(rows, *dense_dtype(*weight(table).format), to);
    }
    const Out out = builder_.temp();
    emit_embedding(builder_, step_, packed(table), slot(ids), shape(ids), to, out);
    return out;
  }

  Out lower(const graph::Linear&, const Node& node) {
    const ValueId x = node.inputs[0], w = node.inputs[1];
    if (is_dense(w)) {
      const Out columns = emit(program::Transpose{.x = dense(w), .out = {}, .perm = {1, 0}});  // (K, N)
      const Out out = emit(program::Addmm{.mat1 = slot(x), .mat2 = columns, .out = {}, .bias = {}});
      return as_type(out, promote(dtype(x), *dense_dtype(*weight(w).format)), dtype(node.output));
    }
    const Out out = builder_.temp();
    emit_linear(builder_, step_, packed(w), slot(x), shape(x), dtype(x), out);
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
    hints_.attention.push_back(hint);
  }

  const graph::Graph& graph_;
  const LowerOptions options_;
  const graph::Uses uses_;
  ProgramBuilder builder_;
  std::vector<Tid> slots_;                     // by ValueId, of inputs and computed values
  std::vector<const graph::Weight*> weights_;  // by ValueId
  std::vector<CacheBuffers> caches_;           // by CacheId
  std::vector<uint32_t> positions_;            // by node: its first instruction
  const Tid tokens_, input_pos_;               // in the order of the program's inputs
  StepValues step_;
  program::Hints hints_;
};

}  // namespace

Result<program::Program> lower(const graph::Graph& graph, const LowerOptions& options) {
  return Lowering(graph, options).run();
}

}  // namespace tessera::compile
