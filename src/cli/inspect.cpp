// tessera inspect: what is in a GGUF file or a program.
#include <algorithm>
#include <map>

#include "cli/command.h"
#include "cli/inspect.h"
#include "cli/json_text.h"
#include "cli/model_file.h"
#include "gguf/file.h"

namespace tessera::cli {
namespace {

using nlohmann::json;

struct InspectFlags {
  std::string path;
  std::vector<std::string> ptd;
  bool json_out = false;
  PteDetails details;
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

void run(const InspectFlags& flags) {
  if (need(kind_of(flags.path)) == FileKind::kGguf) {
    const auto file = need(gguf::File::open(flags.path));
    if (flags.json_out)
      fmt::print("{}\n", json_text(gguf_json(*file)));
    else
      print_gguf(*file, flags.details.tensors);
    return;
  }
  const auto info = need(program::inspect_pte(flags.path, {.method = {}, .ptd_paths = flags.ptd}));
  if (flags.json_out)
    print_pte_json(info);
  else
    print_pte(info, flags.details);
}

}  // namespace

void add_inspect(CLI::App& app) {
  auto* command = app.add_subcommand("inspect", "Show what a .gguf or .pte holds");
  auto flags = std::make_shared<InspectFlags>();
  command->add_option("FILE", flags->path, "A .gguf or .pte file")->required();
  command->add_option("--ptd", flags->ptd, "Weights of a .pte that are in files of their own");
  command->add_flag("--tensors", flags->details.tensors, "List every tensor, slot, segment and named data entry");
  command->add_flag("--chains", flags->details.chains, "List a program's chains and the targets of every If");
  command->add_flag("--instructions", flags->details.instructions, "Print the program's slots and chains");
  command->add_flag("--json", flags->json_out, "One JSON object on stdout");
  command->callback([flags] { run(*flags); });
}

}  // namespace tessera::cli
