#include "graph/builder.h"

#include <algorithm>

namespace tessera::graph {

ValueId Builder::input(std::string name, Type type) {
  const ValueId value = graph_.new_value(std::move(type));
  graph_.inputs.push_back({std::move(name), value});
  return value;
}

ValueId Builder::weight(Weight weight, Type type) {
  const auto same = std::find_if(graph_.weights.begin(), graph_.weights.end(),
                                 [&](const Weight& w) { return w.name == weight.name; });
  if (same != graph_.weights.end()) return same->value;
  weight.value = graph_.new_value(std::move(type));
  graph_.weights.push_back(std::move(weight));
  return graph_.weights.back().value;
}

CacheId Builder::cache(Cache cache) {
  graph_.caches.push_back(std::move(cache));
  return {static_cast<int32_t>(graph_.caches.size()) - 1};
}

ValueId Builder::add(Op op, std::vector<ValueId> inputs) {
  std::vector<Type> types;
  for (ValueId input : inputs) types.push_back(graph_.type(input));
  Result<Type> type = infer(op, types, graph_.caches);
  const ValueId output = graph_.new_value(std::move(type).value());  // an error here is the caller's bug
  graph_.nodes.push_back({std::move(op), std::move(inputs), output});
  return output;
}

Graph Builder::finish(ValueId output) && {
  graph_.output = output;
  verify(graph_).value();
  return std::move(graph_);
}

}  // namespace tessera::graph
