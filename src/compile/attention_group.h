// Recognises the nodes of a graph that a planner can run as one attention step: heads split off the linears' results,
// per-head norms, and the attention itself.
#pragma once

#include <optional>

#include "graph/graph.h"

namespace tessera::compile {

struct AttentionGroup {
  size_t first = 0;  // node index; the group is [first, the attention node]
  graph::ValueId q;  // (1, T, n_heads * head_dim), before the split
  std::optional<graph::ValueId> k, v;
  graph::ValueId q_norm;
  std::optional<graph::ValueId> k_norm;
  float eps = 0;
};

// The group that ends with node `index`, an Attention; nothing if the nodes before it do not have that form.
std::optional<AttentionGroup> find_attention_group(const graph::Graph& graph, const graph::Uses& uses, size_t index);

}  // namespace tessera::compile
