// What the passes share.
#pragma once

#include <vector>

#include "graph/graph.h"

namespace tessera::graph {

// Collects "read `to` where you read `from`" and applies all of it in one walk over the graph.
class Replacements {
 public:
  explicit Replacements(const Graph& graph) : to_(graph.types.size()) {
    for (size_t i = 0; i < to_.size(); ++i) to_[i] = {static_cast<int32_t>(i)};
  }
  ValueId operator[](ValueId value) const { return to_[static_cast<size_t>(value.index)]; }
  // `to` is resolved now, so replacements made in execution order never chain.
  void replace(ValueId from, ValueId to) { to_[static_cast<size_t>(from.index)] = (*this)[to]; }
  void apply_to(Node& node) const {
    for (ValueId& input : node.inputs) input = (*this)[input];
  }
  // Nodes whose result is replaced have no reader left and go.
  void apply(Graph& graph) const {
    std::erase_if(graph.nodes, [&](const Node& node) { return (*this)[node.output] != node.output; });
    for (Node& node : graph.nodes) apply_to(node);
    graph.output = (*this)[graph.output];
  }

 private:
  std::vector<ValueId> to_;
};

}  // namespace tessera::graph
