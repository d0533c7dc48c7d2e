#include <algorithm>

#include "graph/passes/passes.h"

namespace tessera::graph {
namespace {

// Ops that treat every row of their first input alike, so that taking a row may come before them.
bool is_row_wise(const Node& node) {
  return std::holds_alternative<Linear>(node.op) || std::holds_alternative<Cast>(node.op) ||
         std::holds_alternative<SoftCap>(node.op) || std::holds_alternative<Scale>(node.op) ||
         std::holds_alternative<Gelu>(node.op);
}

}  // namespace

int keep_last_token(Graph& graph) {
  if (graph.type(graph.output).shape.rank() != 3) return 0;  // one row already
  const Uses uses(graph);
  // The tail of the graph that only serves its output, from the last linear on.
  std::vector<size_t> tail;
  ValueId value = graph.output;
  for (bool before_linear = true; before_linear;) {
    const int writer = uses.writer(value);
    if (writer < 0 || uses.count(value) != 1) break;
    const Node& node = graph.nodes[static_cast<size_t>(writer)];
    if (!is_row_wise(node)) break;
    before_linear = !std::holds_alternative<Linear>(node.op);
    tail.push_back(static_cast<size_t>(writer));
    value = node.inputs[0];
  }
  const Type all = graph.type(value);
  const ValueId last = graph.new_value({all.dtype, {1, all.shape.back()}});
  const size_t position = tail.empty() ? graph.nodes.size() : tail.back();
  graph.nodes.insert(graph.nodes.begin() + static_cast<std::ptrdiff_t>(position), Node{TakeLast{}, {value}, last});
  if (tail.empty()) {
    graph.output = last;
    return 1;
  }
  graph.nodes[position + 1].inputs[0] = last;
  for (size_t index : tail) {  // every result of the tail loses its token dimension
    Type& type = graph.types[static_cast<size_t>(graph.nodes[index + 1].output.index)];
    type.shape = {1, type.shape.back()};
  }
  return 1;
}

}  // namespace tessera::graph
