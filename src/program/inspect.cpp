#include "program/inspect.h"

#include <optional>
#include <type_traits>

#include "base/mapped_file.h"
#include "program/graph_codec.h"
#include "program/plan_reader.h"
#include "program/printer.h"

namespace tessera::program {
namespace {

std::map<std::string, size_t> count_instructions(const Program& program) {
  std::map<std::string, size_t> counts;
  for (const Chain& chain : program.chains)
    for (const Node& node : chain) ++counts[std::string(name_of(node))];
  return counts;
}

std::vector<SlotInfo> describe_slots(const Program& program) {
  std::vector<SlotInfo> out;
  for (uint32_t id = 0; id < program.n_tensors() - program.n_temps; ++id)
    out.push_back({id, std::string(name_of(program.kind_of({id}))), to_text(program.tensor_meta[id]),
                   std::string(program.name_of({id}))});
  return out;
}

void describe_chains(PteInfo& info) {
  const Program& program = info.program;
  for (const Chain& chain : program.chains) info.chains.push_back({"nothing", chain.size()});
  for (uint32_t c = 0; c < program.chains.size(); ++c) {
    for (size_t i = 0; i < program.chains[c].size(); ++i) {
      const Node& node = program.chains[c][i];
      const auto place = fmt::format("{}.{}", c, i);
      if (const auto* branch = std::get_if<If>(&node)) {
        info.branches.push_back(
            {c, i,
             branch->cond.is_vid ? fmt::format("${}", branch->cond.vid.idx) : fmt::format("{}", branch->cond.literal),
             branch->then_chain_idx, branch->else_chain_idx});
        info.chains[branch->then_chain_idx].role = "then of " + place;
        info.chains[branch->else_chain_idx].role = "else of " + place;
      } else if (const auto* scan = std::get_if<Scan>(&node)) {
        info.chains[static_cast<size_t>(scan->body_chain_idx)].role = "body of " + place;
      }
    }
  }
  info.chains[program.main_chain].role = "main";
  if (program.init_chain >= 0) info.chains[static_cast<size_t>(program.init_chain)].role = "init";
}

std::vector<SegmentInfo> describe_segments(const PteFile& file) {
  std::vector<SegmentInfo> out;
  for (const auto& segment : file.segments.list) out.push_back({segment.offset, segment.bytes.size(), ""});
  const auto add = [&](uint64_t index, const std::string& content) {
    if (index < out.size()) out[index].content += (out[index].content.empty() ? "" : ", ") + content;
  };
  if (file.table.constant_segment) add(file.table.constant_segment->segment_index, "constants");
  for (const auto& plan : file.table.execution_plan) {
    for (const auto& delegate : plan.delegates) {
      if (delegate.processed.location == pte::kSegment) add(delegate.processed.index, "delegate of " + plan.name.str());
    }
  }
  for (const auto& named : file.table.named_data.value_or(std::vector<pte::NamedData>())) {
    add(named.segment_index, named.key.str());
  }
  return out;
}

std::vector<PlanInfo> describe_plans(const PteFile& file) {
  std::vector<PlanInfo> out;
  for (const auto& plan : file.table.execution_plan) {
    PlanInfo info{plan.name.str(), {}, plan.values.size(), plan.inputs.size(), plan.outputs.size(), 0};
    for (const auto& delegate : plan.delegates) info.delegates.push_back(delegate.id.str());
    for (const auto& chain : plan.chains) info.n_instructions += chain.instructions.size();
    out.push_back(std::move(info));
  }
  return out;
}

// Above this many bytes a graph is not encoded just to learn its size: a small file may refer to one long text a
// million times, and a flatbuffer ends at 2 GB.
constexpr uint64_t kMaxUnshared = uint64_t{512} << 20;
constexpr uint64_t kTableBytes = 32;  // at most, of an operand and the offset to it

uint64_t stored_bytes(const String& text) { return text.view().size() + 3 * sizeof(uint32_t); }
template <typename T>
uint64_t stored_bytes(const T&) {
  return std::is_arithmetic_v<T> ? sizeof(T) : kTableBytes;
}
template <typename T>
uint64_t stored_bytes(const std::vector<T>& list) {
  uint64_t bytes = 2 * sizeof(uint32_t);
  for (const auto& item : list) bytes += stored_bytes(static_cast<const T&>(item));
  return bytes;
}
template <typename T>
uint64_t stored_bytes(const RequiredVector<T>& list) {
  return stored_bytes(static_cast<const std::vector<T>&>(list));
}
template <typename T>
uint64_t stored_bytes(const std::optional<T>& field) {
  return field ? stored_bytes(*field) : 0;
}

// About what the instructions take when they share nothing.
uint64_t unshared_bytes(const Program& program) {
  uint64_t bytes = 0;
  const auto add = [&](const auto&... fields) { ((bytes += stored_bytes(fields)), ...); };
  for (const Chain& chain : program.chains) {
    for (const Node& node : chain) {
      bytes += 2 * kTableBytes;
      std::visit([&](const auto& n) { n.with_fields(add); }, node);
    }
  }
  return bytes;
}

}  // namespace

Result<PteInfo> inspect_pte(const std::string& path, const LoadOptions& options) {
  PteInfo info;
  info.path = path;
  info.program = TRY(load_pte(path, options));  // reports what is wrong with the file, by its name
  const auto mapped = TRY(MappedFile::open(path));
  const PteFile file = TRY(PteFile::open(mapped->bytes()));
  const auto& plan = *TRY(choose_plan(file, options.method));
  const auto payload = TRY(delegate_payload(file, mapped->bytes(), plan));

  info.file_bytes = mapped->bytes().size();
  info.header = file.header;
  info.segments = describe_segments(file);
  info.plans = describe_plans(file);
  for (const auto& [key, data] : info.program.data) {
    const bool is_inside = data.mapped != nullptr && data.mapped->path() == path;
    info.data.push_back({key, data.bytes.size(), !is_inside});
  }
  info.slots = describe_slots(info.program);
  describe_chains(info);
  info.instructions = count_instructions(info.program);
  info.kernels = distinct_kernels(info.program);
  info.payload_bytes = payload.bytes.size();
  info.payload_bytes_shared = encode_payload(info.program).size();
  const uint64_t unshared = unshared_bytes(info.program);
  info.payload_bytes_unshared = unshared > kMaxUnshared ? unshared : encode_payload(info.program, false).size();
  return info;
}

}  // namespace tessera::program
