#include <algorithm>
#include <map>

#include "graph/passes/passes.h"
#include "graph/passes/rewrite.h"

namespace tessera::graph {

int common_subexpressions(Graph& graph) {
  int changes = 0;
  Replacements replaced(graph);
  // Nodes that may be equal read the same first input; there are few of those.
  std::multimap<int32_t, const Node*> seen;
  for (Node& node : graph.nodes) {
    replaced.apply_to(node);
    if (std::holds_alternative<Attention>(node.op)) continue;  // changes a cache
    const auto [begin, end] = seen.equal_range(node.inputs[0].index);
    const auto same = std::find_if(begin, end, [&](const auto& entry) {
      return entry.second->op == node.op && entry.second->inputs == node.inputs;
    });
    if (same == end) {
      seen.emplace(node.inputs[0].index, &node);
    } else {
      replaced.replace(node.output, same->second->output);
      ++changes;
    }
  }
  replaced.apply(graph);
  return changes;
}

}  // namespace tessera::graph
