#include "compile/attention_group.h"

#include <map>
#include <set>

namespace tessera::compile {
namespace {

using graph::Node;
using graph::ValueId;

// rms_norm(split_heads(x), weight?)
struct HeadNorm {
  ValueId x;
  std::optional<ValueId> weight;
  float eps = 0;
};

class Finder {
 public:
  Finder(const graph::Graph& graph, const graph::Uses& uses, size_t index)
      : graph_(graph), uses_(uses), index_(index) {}

  std::optional<AttentionGroup> run() {
    const Node& node = graph_.nodes[index_];
    members_.insert(index_);
    const auto q = head_norm(node.inputs[0]);
    if (!q || !q->weight) return std::nullopt;
    AttentionGroup group{.first = 0, .q = q->x, .k = {}, .v = {}, .q_norm = *q->weight, .k_norm = {}, .eps = q->eps};
    if (graph::writes_cache(node)) {
      const auto k = head_norm(node.inputs[node.inputs.size() - 2]), v = head_norm(node.inputs.back());
      if (!k || !v || !k->weight || v->weight || k->eps != q->eps || v->eps != q->eps) return std::nullopt;
      group.k = k->x;
      group.v = v->x;
      group.k_norm = k->weight;
    }
    group.first = *members_.begin();
    const bool consecutive = index_ - group.first + 1 == members_.size();
    return consecutive && is_private() ? std::optional(group) : std::nullopt;
  }

 private:
  const Node* writer(ValueId value) {
    const int writer = uses_.writer(value);
    if (writer < 0) return nullptr;
    members_.insert(static_cast<size_t>(writer));
    return &graph_.nodes[static_cast<size_t>(writer)];
  }

  std::optional<HeadNorm> head_norm(ValueId value) {
    const Node* norm = writer(value);
    if (!norm || !std::holds_alternative<graph::RmsNorm>(norm->op)) return std::nullopt;
    const Node* split = writer(norm->inputs[0]);
    if (!split || !std::holds_alternative<graph::SplitHeads>(split->op)) return std::nullopt;
    HeadNorm out{.x = split->inputs[0], .weight = {}, .eps = std::get<graph::RmsNorm>(norm->op).eps};
    if (norm->inputs.size() == 2) out.weight = norm->inputs[1];
    return out;
  }

  // Nothing outside the group reads what its nodes compute, the attention's result apart.
  bool is_private() const {
    std::map<int32_t, int> reads;
    for (size_t member : members_)
      for (ValueId input : graph_.nodes[member].inputs) ++reads[input.index];
    for (size_t member : members_) {
      const ValueId output = graph_.nodes[member].output;
      if (member != index_ && uses_.count(output) != reads[output.index]) return false;
    }
    return true;
  }

  const graph::Graph& graph_;
  const graph::Uses& uses_;
  const size_t index_;
  std::set<size_t> members_;
};

}  // namespace

std::optional<AttentionGroup> find_attention_group(const graph::Graph& graph, const graph::Uses& uses, size_t index) {
  return Finder(graph, uses, index).run();
}

}  // namespace tessera::compile
