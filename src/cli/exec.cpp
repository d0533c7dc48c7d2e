// tessera exec: one execution of any MLX program on arrays in .npy files. Instructions run one by one on the scalar
// references, so the program needs no interface of ours and may come from ExecuTorch's own exporter.
#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>

#include "cli/command.h"
#include "cli/tensor_file.h"
#include "ops/cast.h"
#include "ops/checks.h"
#include "ops/elements.h"
#include "program/pte_loader.h"
#include "runtime/cache_geometry.h"
#include "runtime/execute.h"

namespace tessera::cli {
namespace {

using ops::Tensor;
using program::Program;
using program::Slot;
using program::SlotType;

struct ExecFlags {
  std::string path;
  program::LoadOptions load;
  std::vector<std::string> inputs, outputs;
  std::optional<uint32_t> seed;
  std::optional<int64_t> cache_tokens;
  std::string cache_dtype = "bf16";
  int threads = 0;
};

// "a1b2/tokens" of the official exporter is "tokens" to people: the part before the slash tells methods apart.
std::string name_of(const Program& program, const Slot& slot) {
  std::string name;
  for (const program::NamedSlot& named : program.named_slots)
    if (named.slot == slot) name = named.name;
  const size_t slash = name.find('/');
  return slash == std::string::npos ? name : name.substr(slash + 1);
}

struct Port {
  std::string name;
  std::string text;  // what the user gave: a file or a number; empty: nothing
};

std::vector<Port> ports_of(const Program& program, const std::vector<Slot>& slots) {
  std::vector<Port> out;
  for (const Slot& slot : slots) out.push_back({name_of(program, slot), {}});
  return out;
}

std::string list_names(const std::vector<Port>& ports) {
  std::string out;
  for (const Port& port : ports) out += (out.empty() ? "" : ", ") + (port.name.empty() ? "(unnamed)" : port.name);
  return out.empty() ? "none" : out;
}

// NAME=TEXT goes to the port of that name, the rest to the free ports in order.
void assign(std::vector<Port>& ports, const std::vector<std::string>& given, const char* what) {
  std::vector<std::string> positional;
  for (const std::string& text : given) {
    const size_t equals = text.find('=');
    const auto named = std::find_if(ports.begin(), ports.end(), [&](const Port& port) {
      return equals != std::string::npos && !port.name.empty() && port.name == text.substr(0, equals);
    });
    if (named == ports.end()) {
      if (equals != std::string::npos && !std::filesystem::exists(text) && text.find('/') > equals)
        throw Failure{fmt::format("no {} \"{}\"; the program has {}", what, text.substr(0, equals), list_names(ports))};
      positional.push_back(text);
      continue;
    }
    if (!named->text.empty()) throw Failure{fmt::format("{} \"{}\" is given twice", what, named->name)};
    named->text = text.substr(equals + 1);
  }
  auto port = ports.begin();
  for (const std::string& text : positional) {
    port = std::find_if(port, ports.end(), [](const Port& p) { return p.text.empty(); });
    if (port == ports.end())
      throw Failure{
          fmt::format("{} {}s given, the program has {}: {}", given.size(), what, ports.size(), list_names(ports))};
    port->text = text;
  }
}

template <typename T>
std::optional<T> parse_number(const std::string& text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

int64_t int_input(const Port& port) {
  if (const auto number = parse_number<int64_t>(port.text)) return *number;
  const Tensor tensor = need(read_npy(port.text));
  if (is_float(tensor.dtype) || tensor.n_elements() != 1)
    throw Failure{fmt::format("{}: expected one integer, found {}", port.text, ops::describe(tensor))};
  return ops::element<int64_t>(tensor, 0);
}

// A 0-d input may be given as a number. NumPy has no bfloat16, so 16-bit unsigned integers are taken for its bits.
Tensor tensor_input(const Port& port, DType dtype, bool is_scalar) {
  if (is_scalar) {
    if (is_float(dtype)) {
      if (const auto number = parse_number<double>(port.text)) return need(ops::from_doubles({*number}, {}, dtype));
    } else if (const auto number = parse_number<int64_t>(port.text)) {
      Tensor whole = need(Tensor::allocate(DType::kI64, {}));
      *whole.as<int64_t>() = *number;
      return need(ops::cast(whole, dtype));
    }
  }
  Tensor tensor = need(read_npy(port.text));
  if (tensor.dtype == DType::kU16 && dtype == DType::kBF16) tensor.dtype = DType::kBF16;
  if (tensor.dtype != dtype)
    throw Failure{fmt::format("{}: input \"{}\" must be {}, found {}", port.text, port.name, tessera::name_of(dtype),
                              ops::describe(tensor))};
  return tensor;
}

std::vector<runtime::Argument> read_inputs(const Program& program, const std::vector<Port>& ports) {
  std::vector<runtime::Argument> out;
  for (size_t i = 0; i < ports.size(); ++i) {
    const Slot& slot = program.input_map[i];
    if (ports[i].text.empty())
      throw Failure{
          fmt::format("input {} \"{}\" is not given; the program takes {}", i, ports[i].name, list_names(ports))};
    if (slot.type == SlotType::kInt) {
      out.emplace_back(int_input(ports[i]));
      continue;
    }
    const program::IoTensor& io = program.inputs[i];
    const DType dtype = slot.idx < program.tensor_meta.size() ? program.tensor_meta[slot.idx].dtype : io.dtype;
    out.emplace_back(tensor_input(ports[i], dtype, io.sizes.empty()));
  }
  return out;
}

Tensor as_tensor(const runtime::Argument& argument) {
  if (const auto* tensor = std::get_if<Tensor>(&argument)) return *tensor;
  Tensor number = need(Tensor::allocate(DType::kI64, {}));
  *number.as<int64_t>() = std::get<int64_t>(argument);
  return number;
}

std::string first_values(const Tensor& tensor) {
  constexpr int64_t kShown = 8;
  std::string out;
  for (int64_t i = 0; i < std::min(kShown, tensor.n_elements()); ++i)
    out += is_float(tensor.dtype) ? fmt::format(" {:.6g}", ops::element<double>(tensor, i))
                                  : fmt::format(" {}", ops::element<int64_t>(tensor, i));
  return tensor.n_elements() > kShown ? out + " ..." : out;
}

std::optional<runtime::OffGraphCache> make_cache(const Program& program, const ExecFlags& flags) {
  if (!runtime::needs_off_graph_cache(program)) return std::nullopt;
  const auto dtype = parse_dtype(flags.cache_dtype);
  if (!dtype || !is_float(*dtype))
    throw Failure{fmt::format("dtype '{}': expected f32, bf16 or f16", flags.cache_dtype)};
  return need(runtime::OffGraphCache::create(need(runtime::cache_config(program, flags.cache_tokens, *dtype))));
}

void run(const ExecFlags& flags) {
  const Program program = need(program::load_pte(flags.path, flags.load));
  std::vector<Port> inputs = ports_of(program, program.input_map), outputs = ports_of(program, program.output_map);
  assign(inputs, flags.inputs, "input");
  assign(outputs, flags.outputs, "output");
  const std::vector<runtime::Argument> arguments = read_inputs(program, inputs);
  auto cache = make_cache(program, flags);
  ThreadPool pool(flags.threads);
  auto execution = need(
      runtime::Execution::create(program, {.pool = &pool, .cache = cache ? &*cache : nullptr, .seed = flags.seed}));
  const std::vector<runtime::Argument> results = need(execution.run(arguments));
  for (size_t i = 0; i < results.size(); ++i) {
    const Tensor tensor = as_tensor(results[i]);
    if (!outputs[i].text.empty()) need(write_npy(outputs[i].text, tensor));
    fmt::print("{}: {}{}\n", outputs[i].name.empty() ? fmt::format("output {}", i) : outputs[i].name,
               ops::describe(tensor), first_values(tensor));
  }
}

}  // namespace

void add_exec(CLI::App& app) {
  auto* command = app.add_subcommand(
      "exec", "Execute an MLX program (.pte) once, on arrays in NumPy files; prints and writes its outputs");
  auto flags = std::make_shared<ExecFlags>();
  command->add_option("PROGRAM", flags->path, "A .pte file of any exporter")->required();
  command->add_option("--method", flags->load.method, "Which method; default: forward, or the only one");
  command->add_option("--data", flags->load.ptd_paths, "A .ptd file with weights (may be repeated)");
  command->add_option("--input", flags->inputs,
                      "FILE.npy or NAME=FILE.npy, in the program's order; of a scalar also a number. bf16 is stored "
                      "as '<V2' or as the bits in '<u2'");
  command->add_option("--output", flags->outputs, "FILE.npy or NAME=FILE.npy, in the program's order");
  command->add_option("--seed", flags->seed, "Of random numbers the program draws without a seed of its own");
  command
      ->add_option("--cache-tokens", flags->cache_tokens,
                   "Tokens of a cache outside the graph; default: the program's get_max_ctx_len")
      ->check(CLI::PositiveNumber);
  command->add_option("--cache-dtype", flags->cache_dtype, "Its elements: bf16, f16, f32")->capture_default_str();
  command->add_option("--threads", flags->threads, "CPU threads; 0: one per processor")->check(thread_counts());
  command->callback([flags] { run(*flags); });
}

}  // namespace tessera::cli
