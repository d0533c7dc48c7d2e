#include <charconv>
#include <map>

#include "graph/attributes.h"
#include "graph/text.h"

namespace tessera::graph {
namespace {

// One line, read from the left.
class Cursor {
 public:
  explicit Cursor(std::string_view line) : rest_(line) {}

  bool done() const { return rest_.empty(); }
  std::string_view rest() const { return rest_; }
  bool accept(std::string_view text) {
    if (rest_.substr(0, text.size()) != text) return false;
    rest_.remove_prefix(text.size());
    return true;
  }
  Status expect(std::string_view text) {
    if (accept(text)) return {};
    return invalid_format("expected '{}' before '{}'", text, rest_);
  }
  // Up to the next delimiter.
  Result<std::string_view> word() {
    const size_t end = std::min(rest_.find_first_of(" ,:()[]="), rest_.size());
    if (end == 0) return invalid_format("expected a name before '{}'", rest_);
    const std::string_view out = rest_.substr(0, end);
    rest_.remove_prefix(end);
    return out;
  }
  template <typename T>
  Result<T> number() {
    const std::string_view text = TRY(word());
    T out{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    if (error != std::errc() || end != text.data() + text.size()) return invalid_format("'{}' is not a number", text);
    return out;
  }

 private:
  std::string_view rest_;
};

Result<DType> parse_type_name(Cursor& line) {
  const std::string_view name = TRY(line.word());
  const std::optional<DType> dtype = parse_dtype(name);
  if (!dtype) return invalid_format("unknown dtype '{}'", name);
  return *dtype;
}

Result<Type> parse_type(Cursor& line) {
  Type type{TRY(parse_type_name(line)), {}};
  TRY(line.expect("["));
  while (!line.accept("]")) {
    if (type.shape.rank() > 0) TRY(line.expect(", "));
    if (type.shape.rank() == Shape::kMaxRank) return invalid_format("more than {} dimensions", Shape::kMaxRank);
    type.shape.push_back(line.accept("T") ? kTokens : TRY(line.number<int64_t>()));
  }
  return type;
}

// The op called `name` with default attributes.
template <size_t I = 0>
Result<Op> make_op(std::string_view name) {
  if constexpr (I == std::variant_size_v<Op>) {
    return invalid_format("unknown op '{}'", name);
  } else {
    using O = std::variant_alternative_t<I, Op>;
    if (O::kName == name) return Op(O{});
    return make_op<I + 1>(name);
  }
}

class Parser {
 public:
  Status statement(std::string_view text) {
    Cursor line(text);
    TRY(statement(line));
    if (!line.done()) return invalid_format("unexpected text at the end: '{}'", line.rest());
    return {};
  }
  Result<Graph> finish() && {
    if (graph_.output.index < 0) return invalid_format("the graph has no output");
    return std::move(graph_);
  }

 private:
  Status statement(Cursor& line) {
    if (line.accept("graph ")) return graph_name(line);
    if (line.accept("input ")) return input(line);
    if (line.accept("cache ")) return cache(line);
    if (line.accept("weight ")) return weight(line);
    if (line.accept("output ")) return output(line);
    return node(line);
  }

  Status graph_name(Cursor& line) {
    graph_.name = TRY(line.word());
    return {};
  }

  // "name: type", a new value
  Result<std::pair<std::string, ValueId>> declaration(Cursor& line) {
    std::string name(TRY(line.word()));
    TRY(line.expect(": "));
    const ValueId value = graph_.new_value(TRY(parse_type(line)));
    values_[name] = value;
    return std::pair(std::move(name), value);
  }

  Status input(Cursor& line) {
    auto [name, value] = TRY(declaration(line));
    graph_.inputs.push_back({std::move(name), value});
    return {};
  }

  Status weight(Cursor& line) {
    auto [name, value] = TRY(declaration(line));
    TRY(line.expect(" "));
    const std::string_view format_name = TRY(line.word());
    const quant::Format* format = quant::find_format(format_name);
    if (!format) return invalid_format("unknown format '{}'", format_name);
    graph_.weights.push_back({std::move(name), value, format, {}, nullptr, nullptr});
    return {};
  }

  Status cache(Cursor& line) {
    Cache cache;
    cache.name = TRY(line.word());
    TRY(line.expect(": "));
    cache.dtype = TRY(parse_type_name(line));
    TRY(line.expect(" kv_heads="));
    cache.n_kv_heads = TRY(line.number<int64_t>());
    TRY(line.expect(" head_dim="));
    cache.head_dim = TRY(line.number<int64_t>());
    TRY(line.expect(" window="));
    cache.window = TRY(line.number<int64_t>());
    graph_.caches.push_back(std::move(cache));
    return {};
  }

  Status output(Cursor& line) {
    graph_.output = TRY(value(line));
    return {};
  }

  // "%3: type = op(inputs) key=value ..."
  Status node(Cursor& line) {
    Node node;
    node.output = TRY(declaration(line)).second;
    TRY(line.expect(" = "));
    const std::string_view op_name = TRY(line.word());
    node.op = TRY(make_op(op_name));
    TRY(line.expect("("));
    while (!line.accept(")")) {
      if (!node.inputs.empty()) TRY(line.expect(", "));
      node.inputs.push_back(TRY(value(line)));
    }
    while (line.accept(" ")) TRY(attribute(line, node.op));
    graph_.nodes.push_back(std::move(node));
    return {};
  }

  Status attribute(Cursor& line, Op& op) {
    const std::string_view key = TRY(line.word());
    TRY(line.expect("="));
    Status status = invalid_format("op {} has no attribute '{}'", name_of(op), key);
    std::visit(
        [&](auto& o) {
          for_each_attribute(o, [&](std::string_view name, auto& field) {
            if (name == key) status = read(line, field);
          });
        },
        op);
    return status;
  }

  Status read(Cursor& line, float& out) { return out = TRY(line.number<float>()), Status(); }
  Status read(Cursor& line, double& out) { return out = TRY(line.number<double>()), Status(); }
  Status read(Cursor& line, int64_t& out) { return out = TRY(line.number<int64_t>()), Status(); }
  Status read(Cursor& line, DType& out) { return out = TRY(parse_type_name(line)), Status(); }
  Status read(Cursor& line, bool& out) {
    out = line.accept("true");
    return out ? Status() : line.expect("false");
  }
  Status read(Cursor& line, CacheId& out) {
    const std::string_view name = TRY(line.word());
    for (size_t i = 0; i < graph_.caches.size(); ++i)
      if (graph_.caches[i].name == name) return out.index = static_cast<int32_t>(i), Status();
    return invalid_format("there is no cache '{}'", name);
  }

  Result<ValueId> value(Cursor& line) {
    const std::string_view name = TRY(line.word());
    const auto found = values_.find(name);
    if (found == values_.end()) return invalid_format("there is no value '{}' yet", name);
    return found->second;
  }

  Graph graph_;
  std::map<std::string, ValueId, std::less<>> values_;
};

}  // namespace

Result<Graph> parse(std::string_view text) {
  Parser parser;
  for (int number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty()) continue;
    if (Status status = parser.statement(line); !status) return status.error().in(fmt::format("line {}", number));
  }
  return std::move(parser).finish();
}

}  // namespace tessera::graph
