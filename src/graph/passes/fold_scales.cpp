
#include "graph/passes/passes.h"
#include "graph/passes/rewrite.h"

namespace tessera::graph {
namespace {

// A weight of one element that is stored as exactly 1.
bool is_one(const Weight* weight, const Type& type) {
  if (!weight || !weight->format || type.shape.n_elements() != 1 || weight->bytes.empty()) return false;
  if (weight->format->block_values != 1 || !weight->format->dequantize) return false;
  float value = 0;
  weight->format->dequantize(weight->bytes.data(), 1, &value);
  return value == 1.0f;
}

bool multiplies_by_one(const Graph& graph, const Node& node) {
  if (const auto* scale = std::get_if<Scale>(&node.op)) return scale->factor == 1;
  if (!std::holds_alternative<Mul>(node.op)) return false;
  return is_one(graph.weight_of(node.inputs[1]), graph.type(node.inputs[1]));
}

}  // namespace

int fold_scales(Graph& graph) {
  int changes = 0;
  Replacements replaced(graph);
  const Uses uses(graph);
  for (Node& node : graph.nodes) {
    replaced.apply_to(node);
    if (auto* scale = std::get_if<Scale>(&node.op)) {
      const int writer = uses.writer(node.inputs[0]);
      const auto* inner = writer < 0 ? nullptr : std::get_if<Scale>(&graph.nodes[static_cast<size_t>(writer)].op);
      if (inner) {
        scale->factor *= inner->factor;
        node.inputs[0] = graph.nodes[static_cast<size_t>(writer)].inputs[0];
        ++changes;
      }
    }
    if (multiplies_by_one(graph, node)) {
      replaced.replace(node.output, node.inputs[0]);
      ++changes;
    }
  }
  replaced.apply(graph);
  return changes;
}

}  // namespace tessera::graph
