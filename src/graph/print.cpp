#include "graph/attributes.h"
#include "graph/text.h"

namespace tessera::graph {
namespace {

class Printer {
 public:
  explicit Printer(const Graph& graph) : graph_(graph), names_(graph.types.size()) {
    for (const Input& input : graph.inputs) names_[static_cast<size_t>(input.value.index)] = input.name;
    for (const Weight& weight : graph.weights) names_[static_cast<size_t>(weight.value.index)] = weight.name;
    for (size_t i = 0; i < graph.nodes.size(); ++i)
      names_[static_cast<size_t>(graph.nodes[i].output.index)] = fmt::format("%{}", i);
  }

  std::string run() {
    line("graph {}", graph_.name);
    for (const Input& input : graph_.inputs) line("input {}", declaration(input.value));
    for (const Cache& c : graph_.caches)
      line("cache {}: {} kv_heads={} head_dim={} window={}", c.name, tessera::name_of(c.dtype), c.n_kv_heads,
           c.head_dim, c.window);
    for (const Weight& weight : graph_.weights) line("weight {} {}", declaration(weight.value), storage_name(weight));
    for (const Node& node : graph_.nodes) print(node);
    line("output {}", name(graph_.output));
    return std::move(out_);
  }

 private:
  template <typename... Args>
  void line(fmt::format_string<Args...> format, Args&&... args) {
    out_ += fmt::format(format, std::forward<Args>(args)...) + "\n";
  }
  const std::string& name(ValueId value) const { return names_[static_cast<size_t>(value.index)]; }
  std::string declaration(ValueId value) const {
    return fmt::format("{}: {}", name(value), to_string(graph_.type(value)));
  }

  void print(const Node& node) {
    std::string inputs, attributes;
    for (ValueId input : node.inputs) inputs += (inputs.empty() ? "" : ", ") + name(input);
    std::visit(
        [&](const auto& op) {
          for_each_attribute(op, [&](std::string_view key, const auto& value) {
            attributes += fmt::format(" {}={}", key, text_of(value));
          });
        },
        node.op);
    line("{} = {}({}){}", declaration(node.output), name_of(node.op), inputs, attributes);
  }

  std::string text_of(float value) const { return fmt::format("{}", value); }
  std::string text_of(double value) const { return fmt::format("{}", value); }
  std::string text_of(int64_t value) const { return std::to_string(value); }
  std::string text_of(bool value) const { return value ? "true" : "false"; }
  std::string text_of(DType value) const { return std::string(tessera::name_of(value)); }
  std::string text_of(CacheId id) const { return graph_.cache(id).name; }

  const Graph& graph_;
  std::vector<std::string> names_;  // by ValueId
  std::string out_;
};

}  // namespace

std::string print(const Graph& graph) { return Printer(graph).run(); }

}  // namespace tessera::graph
