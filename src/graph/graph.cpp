#include "graph/graph.h"

#include <algorithm>

namespace tessera::graph {

std::string to_string(const Type& type) {
  std::string dims;
  for (int64_t dim : type.shape) {
    if (!dims.empty()) dims += ", ";
    dims += dim == kTokens ? "T" : std::to_string(dim);
  }
  return fmt::format("{}[{}]", tessera::name_of(type.dtype), dims);
}

std::string storage_name(const Weight& weight) {
  if (!weight.affine) return std::string(weight.format->name);
  return fmt::format("int{}/{}", weight.affine->shape().bits, weight.affine->shape().group_size);
}

ValueId Graph::new_value(Type type) {
  types.push_back(std::move(type));
  return {static_cast<int32_t>(types.size()) - 1};
}

ValueId Graph::find_input(std::string_view input_name) const {
  for (const Input& input : inputs)
    if (input.name == input_name) return input.value;
  return {};
}

const Weight* Graph::weight_of(ValueId value) const {
  const auto found = std::find_if(weights.begin(), weights.end(), [&](const Weight& w) { return w.value == value; });
  return found == weights.end() ? nullptr : &*found;
}

Uses::Uses(const Graph& graph) : writer_(graph.types.size(), -1), count_(graph.types.size(), 0) {
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    writer_[static_cast<size_t>(graph.nodes[i].output.index)] = static_cast<int>(i);
    for (ValueId input : graph.nodes[i].inputs) ++count_[static_cast<size_t>(input.index)];
  }
  ++count_[static_cast<size_t>(graph.output.index)];
}

}  // namespace tessera::graph
