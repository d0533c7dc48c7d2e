#include <algorithm>

#include "graph/passes/passes.h"

namespace tessera::graph {
namespace {

template <typename T, typename F>
int remove_if(std::vector<T>& list, F&& f) {
  return static_cast<int>(std::erase_if(list, std::forward<F>(f)));
}

// Removes caches that no attention names and renumbers the rest.
int remove_caches(Graph& graph) {
  std::vector<int32_t> renumbered(graph.caches.size(), -1);
  for (const Node& node : graph.nodes)
    if (const auto* attention = std::get_if<Attention>(&node.op))
      renumbered[static_cast<size_t>(attention->cache.index)] = 0;
  std::vector<Cache> kept;
  for (size_t i = 0; i < graph.caches.size(); ++i) {
    if (renumbered[i] < 0) continue;
    renumbered[i] = static_cast<int32_t>(kept.size());
    kept.push_back(std::move(graph.caches[i]));
  }
  for (Node& node : graph.nodes)
    if (auto* attention = std::get_if<Attention>(&node.op))
      attention->cache.index = renumbered[static_cast<size_t>(attention->cache.index)];
  const int removed = static_cast<int>(graph.caches.size() - kept.size());
  graph.caches = std::move(kept);
  return removed;
}

}  // namespace

int dead_code(Graph& graph) {
  std::vector<bool> live(graph.types.size(), false), cache_read(graph.caches.size(), false);
  const auto is_live = [&](ValueId value) { return live[static_cast<size_t>(value.index)]; };
  live[static_cast<size_t>(graph.output.index)] = true;
  for (auto node = graph.nodes.rbegin(); node != graph.nodes.rend(); ++node) {
    const auto* attention = std::get_if<Attention>(&node->op);
    // A write into a cache that a later live node reads is live, whoever reads the node's own result.
    if (attention && writes_cache(*node) && cache_read[static_cast<size_t>(attention->cache.index)])
      live[static_cast<size_t>(node->output.index)] = true;
    if (!is_live(node->output)) continue;
    if (attention) cache_read[static_cast<size_t>(attention->cache.index)] = true;
    for (ValueId input : node->inputs) live[static_cast<size_t>(input.index)] = true;
  }
  int removed = remove_if(graph.nodes, [&](const Node& node) { return !is_live(node.output); });
  removed += remove_if(graph.weights, [&](const Weight& weight) { return !is_live(weight.value); });
  return removed + remove_caches(graph);
}

}  // namespace tessera::graph
