#include "program/printer.h"

#include <algorithm>

namespace tessera::program {
namespace {

constexpr size_t kMaxText = 60;  // longer strings (kernel sources) are cut

class Printer {
 public:
  std::string text;

  void print(const Tid& slot) { text += fmt::format("%{}", slot.idx); }
  void print(const Vid& slot) { text += fmt::format("${}", slot.idx); }
  void print(const IntOrVid& value) { operand(value); }
  void print(const FloatOrVid& value) { operand(value); }
  void print(const VidOrTid& value) {
    if (value.is_vid)
      print(value.vid);
    else
      print(value.tid);
  }
  void print(const IntOrVidOrTid& value) {
    using Kind = IntOrVidOrTid::Kind;
    if (value.kind == Kind::kLiteral) text += fmt::format("{}", value.literal);
    if (value.kind == Kind::kVid) print(value.vid);
    if (value.kind == Kind::kTid) print(value.tid);
  }
  void print(const String& string) {
    std::string line(string.view().substr(0, kMaxText));
    std::replace_if(
        line.begin(), line.end(), [](char c) { return c == '\n' || c == '"'; }, ' ');
    if (string.view().size() <= kMaxText)
      text += fmt::format("\"{}\"", line);
    else
      text += fmt::format("\"{}...\" ({} bytes)", line, string.view().size());
  }
  void print(DType dtype) {
    if (is_known(dtype))
      text += name_of(dtype);
    else
      text += fmt::format("dtype({})", static_cast<int>(dtype));
  }
  template <typename T>
  requires std::is_arithmetic_v<T>
  void print(T value) {
    if constexpr (std::is_same_v<T, int8_t>)
      text += fmt::format("{}", static_cast<int>(value));
    else
      text += fmt::format("{}", value);
  }
  template <typename T>
  void print(const std::vector<T>& list) {
    text += '[';
    for (size_t i = 0; i < list.size(); ++i) {
      if (i > 0) text += ", ";
      print(list[i]);
    }
    text += ']';
  }
  template <typename T>
  void field(std::string_view name, const T& value) {
    text += fmt::format(" {}=", name);
    print(value);
  }
  template <typename T>
  void field(std::string_view name, const std::optional<T>& value) {
    if (value) field(name, *value);
  }

 private:
  template <typename T>
  void operand(const T& value) {
    if (value.is_vid)
      print(value.vid);
    else
      text += fmt::format("{}", value.literal);
  }
};

std::string slots_to_text(const Program& program) {
  std::string text = fmt::format(
      "method {}: {} constants, {} inputs, {} outputs, {} mutable buffers, {} temporaries, {} values\n", program.method,
      program.n_constants, program.n_inputs, program.n_outputs, program.n_mutable, program.n_temps, program.n_values);
  for (uint32_t i = 0; i < program.tensor_meta.size(); ++i) {
    text += fmt::format("  %{} {} {} {}\n", i, name_of(program.kind_of({i})), to_text(program.tensor_meta[i]),
                        program.name_of({i}));
  }
  return text;
}

}  // namespace

std::string to_text(const TensorMeta& meta) {
  std::string dims;
  for (const ShapeDim& dim : meta.shape) {
    if (!dims.empty()) dims += ", ";
    if (dim.value >= 0)
      dims += std::to_string(dim.value);
    else if (dim.max_value >= 0)
      dims += fmt::format("{}..{}", dim.min_value, dim.max_value);
    else
      dims += fmt::format("{}..", dim.min_value);
  }
  Printer printer;
  printer.print(meta.dtype);
  return fmt::format("{}[{}]", printer.text, dims);
}

std::string_view name_of(TensorKind kind) {
  switch (kind) {
    case TensorKind::kConstant:
      return "constant";
    case TensorKind::kInput:
      return "input";
    case TensorKind::kOutput:
      return "output";
    case TensorKind::kMutable:
      return "mutable";
    case TensorKind::kTemp:
      return "temp";
  }
  return "?";
}

std::string to_text(const Node& node) {
  Printer printer;
  std::visit(
      [&](const auto& n) {
        printer.text = n.kName;
        n.with_fields([&](const auto&... fields) {
          [[maybe_unused]] size_t i = 0;
          (printer.field(field_name(n.kFieldNames, i++), fields), ...);
        });
      },
      node);
  return std::move(printer.text);
}

std::string to_text(const Program& program) {
  std::string text = slots_to_text(program);
  for (size_t i = 0; i < program.chains.size(); ++i) {
    const bool is_init = static_cast<int64_t>(i) == program.init_chain;
    text += fmt::format("chain {}{}:\n", i, i == program.main_chain ? " (main)" : is_init ? " (init)" : "");
    for (const Node& node : program.chains[i]) text += fmt::format("  {}\n", to_text(node));
  }
  return text;
}

}  // namespace tessera::program
