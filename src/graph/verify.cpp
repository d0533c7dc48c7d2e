#include <set>

#include "graph/graph.h"

namespace tessera::graph {
namespace {

template <typename... Args>
Error broken(fmt::format_string<Args...> format, Args&&... args) {
  return make_error(ErrorCode::kInternal, "graph: {}", fmt::format(format, std::forward<Args>(args)...));
}

class Verifier {
 public:
  explicit Verifier(const Graph& graph)
      : graph_(graph), defined_(graph.types.size(), false), cache_written_(graph.caches.size(), false) {}

  Status run() {
    for (const Input& input : graph_.inputs) TRY(define_named(input.name, input.value));
    for (const Weight& weight : graph_.weights) TRY(check_weight(weight));
    for (const Cache& cache : graph_.caches) TRY(check_cache(cache));
    for (size_t i = 0; i < graph_.nodes.size(); ++i)
      if (auto status = check_node(graph_.nodes[i]); !status)
        return broken("node {} ({}): {}", i, name_of(graph_.nodes[i].op), status.error().message);
    if (!is_defined(graph_.output)) return broken("the output is not computed");
    return {};
  }

 private:
  bool in_range(ValueId value) const {
    return value.index >= 0 && static_cast<size_t>(value.index) < graph_.types.size();
  }
  bool is_defined(ValueId value) const { return in_range(value) && defined_[static_cast<size_t>(value.index)]; }

  Status define(ValueId value) {
    if (!in_range(value)) return broken("value {} out of range", value.index);
    if (is_defined(value)) return broken("value {} is defined twice", value.index);
    defined_[static_cast<size_t>(value.index)] = true;
    return {};
  }

  Status define_named(const std::string& name, ValueId value) {
    if (name.empty() || !names_.insert(name).second) return broken("name '{}' is empty or not unique", name);
    return define(value);
  }

  Status check_weight(const Weight& weight) {
    TRY(define_named(weight.name, weight.value));
    const Shape& shape = graph_.type(weight.value).shape;
    if (weight.affine) {
      const quant::AffineShape& stored = weight.affine->shape();
      if (weight.format || shape != Shape{stored.n, stored.k})
        return broken("weight {}: {} is stored as ({}, {}) groups", weight.name, to_string(graph_.type(weight.value)),
                      stored.n, stored.k);
      return {};
    }
    if (!weight.format) return broken("weight {} has no format", weight.name);
    if (shape.rank() == 0 || shape.back() % weight.format->block_values != 0)
      return broken("weight {}: rows of {} are not whole {} blocks", weight.name, to_string(graph_.type(weight.value)),
                    weight.format->name);
    const auto expected = static_cast<size_t>(weight.format->bytes_for(shape.n_elements()));
    if (!weight.bytes.empty() && weight.bytes.size() != expected)
      return broken("weight {}: expected {} bytes, found {}", weight.name, expected, weight.bytes.size());
    return {};
  }

  Status check_cache(const Cache& cache) {
    if (cache.name.empty() || !cache_names_.insert(cache.name).second)
      return broken("cache name '{}' is empty or not unique", cache.name);
    if (cache.n_kv_heads <= 0 || cache.head_dim <= 0 || cache.head_dim % 2 != 0 || cache.window < 0)
      return broken("cache {}: {} KV heads of {}, window {}", cache.name, cache.n_kv_heads, cache.head_dim,
                    cache.window);
    return {};
  }

  Status check_node(const Node& node) {
    std::vector<Type> types;
    for (ValueId input : node.inputs) {
      if (!is_defined(input)) return broken("reads value {} before it is computed", input.index);
      types.push_back(graph_.type(input));
    }
    const Type expected = TRY(infer(node.op, types, graph_.caches));
    if (!in_range(node.output) || graph_.type(node.output) != expected)
      return broken("its result must be {}", to_string(expected));
    if (const auto* attention = std::get_if<Attention>(&node.op)) TRY(check_cache_use(node, *attention));
    return define(node.output);
  }

  Status check_cache_use(const Node& node, const Attention& attention) {
    const bool writes = writes_cache(node);
    const auto index = static_cast<size_t>(attention.cache.index);
    if (writes == cache_written_[index])
      return broken("cache {} is {}", graph_.caches[index].name,
                    writes ? "written twice" : "read before it is written");
    cache_written_[index] = true;
    return {};
  }

  const Graph& graph_;
  std::vector<bool> defined_, cache_written_;
  std::set<std::string_view> names_, cache_names_;
};

}  // namespace

Status verify(const Graph& graph) { return Verifier(graph).run(); }

}  // namespace tessera::graph
