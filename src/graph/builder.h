// Builds a graph node by node. Types are checked as nodes are added: an op that does not fit its inputs is a bug of the
// caller (a model definition validates the file's dimensions first), so it ends the program, naming op and shapes.
#pragma once

#include <initializer_list>
#include <string>
#include <utility>

#include "graph/graph.h"

namespace tessera::graph {

class Builder {
 public:
  explicit Builder(std::string name) { graph_.name = std::move(name); }

  ValueId input(std::string name, Type type);
  // The same name gives the same value: a table used twice is one weight.
  ValueId weight(Weight weight, Type type);
  CacheId cache(Cache cache);
  ValueId add(Op op, std::initializer_list<ValueId> inputs) { return add(std::move(op), std::vector<ValueId>(inputs)); }
  ValueId add(Op op, std::vector<ValueId> inputs);
  const Type& type(ValueId value) const { return graph_.type(value); }

  Graph finish(ValueId output) &&;

 private:
  Graph graph_;
};

}  // namespace tessera::graph
