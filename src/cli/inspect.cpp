// tessera inspect: what is in a GGUF file or a program.
#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/model_file.h"
#include "gguf/file.h"
#include "program/inspect.h"
#include "program/printer.h"

namespace tessera::cli {
namespace {

using nlohmann::json;

struct InspectFlags {
  std::string path;
  std::vector<std::string> ptd;
  bool json_out = false, tensors = false, instructions = false;
};

double mb(uint64_t bytes) { return static_cast<double>(bytes) / 1e6; }

// ---- GGUF

struct FormatTotal {
  size_t tensors = 0;
  uint64_t bytes = 0, values = 0;
};

std::map<std::string, FormatTotal> totals_by_format(const gguf::File& file) {
  std::map<std::string, FormatTotal> totals;
  for (const gguf::TensorInfo& tensor : file.tensors()) {
    FormatTotal& total = totals[std::string(tensor.format->name)];
    ++total.tensors;
    total.bytes += tensor.size_bytes;
    total.values += static_cast<uint64_t>(tensor.n_values());
  }
  return totals;
}

json gguf_json(const gguf::File& file) {
  json out{{"file", file.path()},           {"kind", "gguf"},          {"version", file.version()},
           {"alignment", file.alignment()}, {"parts", file.n_parts()}, {"bytes", file.size_bytes()}};
  for (const auto& entry : file.metadata().entries()) out["metadata"][entry.key] = gguf::to_string(entry.value);
  for (const auto& [name, total] : totals_by_format(file))
    out["formats"][name] = {{"tensors", total.tensors}, {"bytes", total.bytes}, {"values", total.values}};
  for (const gguf::TensorInfo& tensor : file.tensors())
    out["tensors"].push_back({{"name", tensor.name},
                              {"format", tensor.format->name},
                              {"dims", tensor.dims},
                              {"offset", tensor.offset},
                              {"bytes", tensor.size_bytes}});
  return out;
}

void print_gguf(const gguf::File& file, bool with_tensors) {
  fmt::print("{}: GGUF v{}, {} part{}, {:.1f} MB, alignment {}\n\nmetadata\n", file.path(), file.version(),
             file.n_parts(), file.n_parts() == 1 ? "" : "s", mb(file.size_bytes()), file.alignment());
  for (const auto& entry : file.metadata().entries())
    fmt::print("  {} = {}\n", entry.key, gguf::to_string(entry.value));
  fmt::print("\n{} tensors\n", file.tensors().size());
  for (const auto& [name, total] : totals_by_format(file))
    fmt::print("  {:8} {:5} tensors {:14} values {:12.1f} MB\n", name, total.tensors, total.values, mb(total.bytes));
  if (!with_tensors) return;
  for (const gguf::TensorInfo& tensor : file.tensors())
    fmt::print("  {:40} {:8} {:20} at {}, {} bytes\n", tensor.name, tensor.format->name,
               gguf::dims_to_string(tensor.dims), tensor.offset, tensor.size_bytes);
}

// ---- programs

std::string value_text(const program::ConstantValue& value) {
  return std::visit(
      [](const auto& v) -> std::string {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, program::ConstantTensor>)
          return fmt::format("{} tensor of {} bytes", name_of(v.dtype), v.bytes.size());
        else
          return fmt::format("{}", v);
      },
      value);
}

std::string values_text(const std::vector<program::ConstantValue>& values) {
  std::string out;
  for (const auto& value : values) out += (out.empty() ? "" : ", ") + value_text(value);
  return out;
}

json pte_json(const program::PteInfo& info) {
  const program::Program& p = info.program;
  json out{{"file", info.path}, {"kind", "pte"}, {"bytes", info.file_bytes}, {"method", p.method}};
  out["slots"] = {{"constants", p.n_constants}, {"inputs", p.n_inputs},     {"outputs", p.n_outputs},
                  {"mutable", p.n_mutable},     {"temporaries", p.n_temps}, {"values", p.n_values}};
  out["chains"] = p.chains.size();
  out["graph"] = {{"payload_bytes", info.payload_bytes},
                  {"bytes_with_shared_strings", info.payload_bytes_shared},
                  {"bytes_without_sharing", info.payload_bytes_unshared}};
  for (const auto& segment : info.segments)
    out["segments"].push_back({{"offset", segment.offset}, {"bytes", segment.bytes}, {"content", segment.content}});
  for (const auto& plan : info.plans)
    out["plans"].push_back({{"name", plan.name},
                            {"delegates", plan.delegates},
                            {"values", plan.n_values},
                            {"instructions", plan.n_instructions}});
  for (const auto& [name, values] : p.constant_methods) out["constant_methods"][name] = values_text(values);
  for (const auto& [name, count] : info.instructions) out["instructions"][name] = count;
  for (const auto& k : info.kernels)
    out["kernels"].push_back({{"name", k.name},
                              {"arguments", k.arguments},
                              {"grid", k.grid},
                              {"threadgroup", k.threadgroup},
                              {"source_bytes", k.source_bytes},
                              {"source_hash", fmt::format("{:016x}", k.source_hash)},
                              {"header_bytes", k.header_bytes},
                              {"header_hash", fmt::format("{:016x}", k.header_hash)},
                              {"uses", k.uses}});
  for (const auto& data : info.data)
    out["data"].push_back({{"key", data.key}, {"bytes", data.bytes}, {"external", data.external}});
  return out;
}

void print_pte(const program::PteInfo& info, const InspectFlags& flags) {
  const program::Program& p = info.program;
  fmt::print("{}: ExecuTorch program, {:.1f} MB, method {}\n", info.path, mb(info.file_bytes), p.method);
  fmt::print("slots: {} constants, {} inputs, {} outputs, {} mutable buffers, {} temporaries, {} values; {} chains\n",
             p.n_constants, p.n_inputs, p.n_outputs, p.n_mutable, p.n_temps, p.n_values, p.chains.size());
  fmt::print("graph: {} bytes; sharing equal parts saves {} of {} bytes\n", info.payload_bytes,
             info.payload_bytes_unshared - info.payload_bytes_shared, info.payload_bytes_unshared);
  fmt::print("\nconstant methods\n");
  for (const auto& [name, values] : p.constant_methods) fmt::print("  {} = {}\n", name, values_text(values));
  fmt::print("\ninstructions\n");
  for (const auto& [name, count] : info.instructions) fmt::print("  {:20} {}\n", name, count);
  fmt::print("\nkernels\n");
  for (const auto& k : info.kernels)
    fmt::print("  {:22} x {:<4} {} grid {} threadgroup {}, source {} bytes {:016x}, header {} bytes {:016x}\n", k.name,
               k.uses, k.arguments, k.grid, k.threadgroup, k.source_bytes, k.source_hash, k.header_bytes,
               k.header_hash);
  uint64_t total = 0;
  for (const auto& data : info.data) total += data.bytes;
  fmt::print("\nnamed data: {} entries, {:.1f} MB\n", info.data.size(), mb(total));
  for (const auto& data : info.data)
    if (flags.tensors || data.key.starts_with("tessera."))
      fmt::print("  {:44} {} bytes{}\n", data.key, data.bytes, data.external ? ", in another file" : "");
  if (flags.tensors) {
    fmt::print("\nsegments\n");
    for (const auto& segment : info.segments)
      fmt::print("  at {:12} {:12} bytes  {}\n", segment.offset, segment.bytes, segment.content);
  }
  if (flags.instructions) fmt::print("\n{}", program::to_text(p));
}

void run(const InspectFlags& flags) {
  if (need(kind_of(flags.path)) == FileKind::kGguf) {
    const auto file = need(gguf::File::open(flags.path));
    if (flags.json_out)
      fmt::print("{}\n", gguf_json(*file).dump(2, ' ', false, json::error_handler_t::replace));
    else
      print_gguf(*file, flags.tensors);
    return;
  }
  const auto info = need(program::inspect_pte(flags.path, {.method = {}, .ptd_paths = flags.ptd}));
  if (flags.json_out)
    fmt::print("{}\n", pte_json(info).dump(2, ' ', false, json::error_handler_t::replace));
  else
    print_pte(info, flags);
}

}  // namespace

void add_inspect(CLI::App& app) {
  auto* command = app.add_subcommand("inspect", "Show what a .gguf or .pte holds");
  auto flags = std::make_shared<InspectFlags>();
  command->add_option("FILE", flags->path, "A .gguf or .pte file")->required();
  command->add_option("--ptd", flags->ptd, "Weights of a .pte that are in files of their own");
  command->add_flag("--tensors", flags->tensors, "List every tensor, named data entry and segment");
  command->add_flag("--instructions", flags->instructions, "Print the program's slots and chains");
  command->add_flag("--json", flags->json_out, "One JSON object on stdout");
  command->callback([flags] { run(*flags); });
}

}  // namespace tessera::cli
