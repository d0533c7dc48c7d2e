// tessera inspect of a program: as text for people, as JSON for scripts.
#include "cli/inspect.h"
#include "cli/json_text.h"
#include "program/printer.h"

namespace tessera::cli {
namespace {

using nlohmann::json;

double mb(uint64_t bytes) { return static_cast<double>(bytes) / 1e6; }

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

// ---- JSON

json kernel_json(const program::KernelInfo& k) {
  return {{"name", k.name},
          {"arguments", k.arguments},
          {"grid", k.grid},
          {"threadgroup", k.threadgroup},
          {"source_bytes", k.source_bytes},
          {"source_hash", fmt::format("{:016x}", k.source_hash)},
          {"header_bytes", k.header_bytes},
          {"header_hash", fmt::format("{:016x}", k.header_hash)},
          {"uses", k.uses}};
}

json container_json(const program::PteInfo& info) {
  json out;
  out["header"] = {{"length", info.header.length},
                   {"flatbuffer_end", info.header.flatbuffer_end},
                   {"segment_base", info.header.segment_base},
                   {"segment_bytes", info.header.segment_bytes}};
  for (const auto& segment : info.segments)
    out["segments"].push_back({{"offset", segment.offset}, {"bytes", segment.bytes}, {"content", segment.content}});
  for (const auto& plan : info.plans)
    out["plans"].push_back({{"name", plan.name},
                            {"delegates", plan.delegates},
                            {"values", plan.n_values},
                            {"inputs", plan.n_inputs},
                            {"outputs", plan.n_outputs},
                            {"instructions", plan.n_instructions}});
  for (const auto& data : info.data)
    out["data"].push_back({{"key", data.key}, {"bytes", data.bytes}, {"external", data.external}});
  return out;
}

json graph_json(const program::PteInfo& info) {
  json out;
  out["graph"] = {{"payload_bytes", info.payload_bytes},
                  {"bytes_with_sharing", info.payload_bytes_shared},
                  {"bytes_without_sharing", info.payload_bytes_unshared}};
  for (const auto& [name, count] : info.instructions) out["instructions"][name] = count;
  for (const auto& kernel : info.kernels) out["kernels"].push_back(kernel_json(kernel));
  for (const auto& chain : info.chains)
    out["chains"].push_back({{"role", chain.role}, {"instructions", chain.n_instructions}});
  for (const auto& b : info.branches)
    out["branches"].push_back({{"chain", b.chain},
                               {"instruction", b.instruction},
                               {"condition", b.condition},
                               {"then", b.then_chain},
                               {"else", b.else_chain}});
  for (const auto& slot : info.slots)
    out["slots"].push_back({{"id", slot.id}, {"kind", slot.kind}, {"type", slot.type}, {"name", slot.name}});
  return out;
}

// ---- text

void print_container(const program::PteInfo& info) {
  const program::ContainerHeader& header = info.header;
  fmt::print("header: {} bytes, flatbuffer ends at {}, {} segments at {} ({:.1f} MB)\n", header.length,
             header.flatbuffer_end, info.segments.size(), header.segment_base, mb(header.segment_bytes));
  fmt::print("\nmethods\n");
  for (const auto& plan : info.plans) {
    if (plan.delegates.empty()) continue;  // constant methods follow
    fmt::print("  {}: {} inputs, {} outputs, {} values, {} instruction{}", plan.name, plan.n_inputs, plan.n_outputs,
               plan.n_values, plan.n_instructions, plan.n_instructions == 1 ? "" : "s");
    for (const auto& delegate : plan.delegates) fmt::print(", delegate {}", delegate);
    fmt::print("\n");
  }
  fmt::print("\nconstant methods\n");
  for (const auto& [name, values] : info.program.constant_methods) fmt::print("  {} = {}\n", name, values_text(values));
}

// How often an If chooses between the same two kinds of chains, by their first instructions.
std::map<std::string, size_t> summarize_branches(const program::PteInfo& info) {
  const auto first = [&](uint32_t chain) -> std::string {
    const auto& nodes = info.program.chains[chain];
    if (nodes.empty()) return "nothing";
    const auto* kernel = std::get_if<program::MetalKernel>(&nodes[0]);
    const std::string name = kernel ? kernel->name.str() : std::string(program::name_of(nodes[0]));
    return nodes.size() == 1 ? name : fmt::format("{}, ... ({} instructions)", name, nodes.size());
  };
  std::map<std::string, size_t> out;
  for (const auto& b : info.branches)
    ++out[fmt::format("{} ? {} : {}", b.condition, first(b.then_chain), first(b.else_chain))];
  return out;
}

void print_graph(const program::PteInfo& info) {
  const program::Program& p = info.program;
  fmt::print("\nslots: {} constants, {} inputs, {} outputs, {} mutable buffers, {} temporaries, {} values\n",
             p.n_constants, p.n_inputs, p.n_outputs, p.n_mutable, p.n_temps, p.n_values);
  fmt::print("graph: {} bytes ({:.3f} MiB); sharing what is equal saves {} of {} bytes\n", info.payload_bytes,
             static_cast<double>(info.payload_bytes) / (1 << 20), info.payload_bytes_unshared - info.payload_bytes,
             info.payload_bytes_unshared);
  fmt::print("\nchains: {}, main {} of {} instructions", p.chains.size(), p.main_chain, p.chains[p.main_chain].size());
  if (p.init_chain >= 0)
    fmt::print(", init {} of {}", p.init_chain, p.chains[static_cast<size_t>(p.init_chain)].size());
  fmt::print("\n");
  for (const auto& [text, count] : summarize_branches(info)) fmt::print("  {:5} x if {}\n", count, text);
  fmt::print("\ninstructions\n");
  for (const auto& [name, count] : info.instructions) fmt::print("  {:20} {}\n", name, count);
  fmt::print("\nkernels\n");
  for (const auto& k : info.kernels)
    fmt::print("  {:22} x {:<4} {} grid {} threadgroup {}, source {} bytes {:016x}, header {} bytes {:016x}\n", k.name,
               k.uses, k.arguments, k.grid, k.threadgroup, k.source_bytes, k.source_hash, k.header_bytes,
               k.header_hash);
}

void print_chains(const program::PteInfo& info) {
  fmt::print("\nchains\n");
  for (size_t i = 0; i < info.chains.size(); ++i)
    fmt::print("  {:5}  {:6} instructions  {}\n", i, info.chains[i].n_instructions, info.chains[i].role);
  fmt::print("\nif\n");
  for (const auto& b : info.branches)
    fmt::print("  {}.{}: {} ? {} : {}\n", b.chain, b.instruction, b.condition, b.then_chain, b.else_chain);
}

void print_data(const program::PteInfo& info, bool all) {
  uint64_t total = 0;
  for (const auto& data : info.data) total += data.bytes;
  fmt::print("\nnamed data: {} entries, {:.1f} MB\n", info.data.size(), mb(total));
  for (const auto& data : info.data)
    if (all || data.key.starts_with("tessera."))
      fmt::print("  {:44} {} bytes{}\n", data.key, data.bytes, data.external ? ", in another file" : "");
  if (!all) return;
  fmt::print("\nsegments\n");
  for (const auto& segment : info.segments)
    fmt::print("  at {:12} {:12} bytes  {}\n", segment.offset, segment.bytes, segment.content);
  fmt::print("\nslots\n");
  for (const auto& slot : info.slots) fmt::print("  %{:<5} {:9} {:24} {}\n", slot.id, slot.kind, slot.type, slot.name);
}

}  // namespace

void print_pte_json(const program::PteInfo& info) {
  json out{{"file", info.path}, {"kind", "pte"}, {"bytes", info.file_bytes}, {"method", info.program.method}};
  out.update(container_json(info));
  for (const auto& [name, values] : info.program.constant_methods) out["constant_methods"][name] = values_text(values);
  out.update(graph_json(info));
  fmt::print("{}\n", json_text(out));
}

void print_pte(const program::PteInfo& info, const PteDetails& details) {
  fmt::print("{}: ExecuTorch program, {:.1f} MB, method {}\n", info.path, mb(info.file_bytes), info.program.method);
  print_container(info);
  print_graph(info);
  print_data(info, details.tensors);
  if (details.chains) print_chains(info);
  if (details.instructions) fmt::print("\n{}", program::to_text(info.program));
}

}  // namespace tessera::cli
