#include "program/graph_codec.h"

#include <charconv>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/byte_reader.h"
#include "base/checked_math.h"
#include "program/graph_tables.h"

namespace tessera::program {
namespace {

constexpr size_t kHeaderBytes = 24;
constexpr std::string_view kMagic = "MLX0";
constexpr size_t kPayloadAlignment = 16;
constexpr int kVersion = 1;

wire::GraphTable to_table(const Program& program) {
  wire::GraphTable graph{
      .version = String(std::to_string(kVersion)),
      .num_constant_tensors = program.n_constants,
      .num_input_tensors = program.n_inputs,
      .num_output_tensors = program.n_outputs,
      .num_mutable_buffer_tensors = program.n_mutable,
      .num_temp_tensors = program.n_temps,
      .num_values = program.n_values,
      .instruction_chains = {},
      .main_chain_idx = program.main_chain,
      .init_chain_idx = program.init_chain,
      .input_map = program.input_map,
      .output_map = program.output_map,
      .mutable_buffer_map = program.mutable_map,
      .named_slots = program.named_slots,
      .tensor_meta = program.tensor_meta,
  };
  for (const Chain& chain : program.chains) {
    auto& instructions = graph.instruction_chains.emplace_back().instructions;
    for (const Node& node : chain) instructions.push_back({node});
  }
  return graph;
}

void from_table(wire::GraphTable graph, Program& out) {
  out.n_constants = graph.num_constant_tensors;
  out.n_inputs = graph.num_input_tensors;
  out.n_outputs = graph.num_output_tensors;
  out.n_mutable = graph.num_mutable_buffer_tensors;
  out.n_temps = graph.num_temp_tensors;
  out.n_values = graph.num_values;
  out.main_chain = graph.main_chain_idx;
  out.init_chain = graph.init_chain_idx;
  out.input_map = std::move(graph.input_map).value_or(std::vector<Slot>());
  out.output_map = std::move(graph.output_map).value_or(std::vector<Slot>());
  out.mutable_map = std::move(graph.mutable_buffer_map).value_or(std::vector<Slot>());
  out.named_slots = std::move(graph.named_slots).value_or(std::vector<NamedSlot>());
  out.tensor_meta = std::move(graph.tensor_meta).value_or(std::vector<TensorMeta>());
  for (auto& chain : graph.instruction_chains) {
    auto& nodes = out.chains.emplace_back();
    for (auto& instruction : chain.instructions) nodes.push_back(std::move(instruction.op));
  }
}

// "" counts as 1.
Status check_version(std::string_view text) {
  if (text.empty()) return {};
  int version = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), version);
  if (failed != std::errc() || end != text.data() + text.size() || version < 0) {
    return invalid_format("MLXGraph.version is \"{}\", expected a decimal integer", text);
  }
  if (version > kVersion)
    return not_implemented("MLXGraph.version is {}, this build reads up to {}", version, kVersion);
  return {};
}

// Size of the header and flatbuffer region.
Result<size_t> read_header(std::span<const std::byte> payload, uint64_t file_offset) {
  if (payload.size() < kHeaderBytes) {
    return invalid_format("offset {}: delegate payload of {} bytes, its header alone needs {}", file_offset,
                          payload.size(), kHeaderBytes);
  }
  if (std::memcmp(payload.data() + 4, kMagic.data(), kMagic.size()) != 0) {
    return invalid_format("offset {}: delegate payload does not start with \"{}\"", file_offset + 4, kMagic);
  }
  uint64_t end;
  std::memcpy(&end, payload.data() + 8, sizeof(end));
  if (end <= kHeaderBytes || end > payload.size()) {
    return invalid_format("offset {}: end of the graph {} must be more than {} and at most the payload's {} bytes",
                          file_offset + 8, end, kHeaderBytes, payload.size());
  }
  return static_cast<size_t>(end);
}

}  // namespace

std::vector<std::byte> encode_payload(const Program& program, bool share) {
  const auto graph = wire::encode(to_table(program), {.share = share});
  const uint64_t end = align_up(kHeaderBytes + graph.size(), kPayloadAlignment);
  std::vector<std::byte> payload(end);
  std::memcpy(payload.data() + 4, kMagic.data(), kMagic.size());
  std::memcpy(payload.data() + 8, &end, sizeof(end));
  std::memcpy(payload.data() + kHeaderBytes, graph.data(), graph.size());
  return payload;
}

Status decode_payload(std::span<const std::byte> payload, uint64_t file_offset, Program& out) {
  const size_t end = TRY(read_header(payload, file_offset));
  const auto region = payload.subspan(kHeaderBytes, end - kHeaderBytes);
  auto graph = TRY(wire::decode<wire::GraphTable>(region, {.file_offset = file_offset + kHeaderBytes}));
  if (graph.version) TRY(check_version(graph.version->view()));
  from_table(std::move(graph), out);
  return {};
}

}  // namespace tessera::program
