#include "program/inspect.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <tuple>

#include "base/mapped_file.h"
#include "program/graph_codec.h"
#include "program/plan_reader.h"

namespace tessera::program {
namespace {

uint64_t hash_of(std::string_view text) { return XXH3_64bits(text.data(), text.size()); }

std::string list_of(const std::vector<IntOrVid>& operands) {
  std::string text;
  for (const IntOrVid& operand : operands) {
    text += text.empty() ? "[" : ", ";
    text += operand.is_vid ? fmt::format("${}", operand.vid.idx) : fmt::format("{}", operand.literal);
  }
  return text + "]";
}

// The lists have equal lengths: the program is verified.
std::string arguments_of(const MetalKernel& kernel) {
  std::string text;
  for (size_t i = 0; i < kernel.template_arg_names.size(); ++i) {
    const int32_t value = kernel.template_arg_values[i];
    const auto dtype = static_cast<DType>(value);
    const bool is_dtype = kernel.template_arg_kinds[i] >= 2 && value >= 0 && value <= INT8_MAX && is_known(dtype);
    text += fmt::format("{}{}={}", text.empty() ? "" : ", ", kernel.template_arg_names[i].view(),
                        is_dtype ? std::string(name_of(dtype)) : std::to_string(value));
  }
  return text;
}

KernelInfo describe(const MetalKernel& kernel) {
  const std::string_view header = kernel.header ? kernel.header->view() : std::string_view();
  return {.name = kernel.name.str(),
          .arguments = arguments_of(kernel),
          .grid = list_of(kernel.grid),
          .threadgroup = list_of(kernel.threadgroup),
          .source_bytes = kernel.source.view().size(),
          .header_bytes = header.size(),
          .source_hash = hash_of(kernel.source.view()),
          .header_hash = hash_of(header),
          .uses = 0};
}

void count_instructions(PteInfo& info) {
  using Key = std::tuple<std::string, std::string, std::string, std::string, uint64_t, uint64_t>;
  std::map<Key, size_t> known;  // index in info.kernels
  for (const Chain& chain : info.program.chains) {
    for (const Node& node : chain) {
      ++info.instructions[std::string(name_of(node))];
      const auto* kernel = std::get_if<MetalKernel>(&node);
      if (kernel == nullptr) continue;
      KernelInfo k = describe(*kernel);
      const Key key{k.name, k.arguments, k.grid, k.threadgroup, k.source_hash, k.header_hash};
      const auto [it, is_new] = known.emplace(key, info.kernels.size());
      if (is_new) info.kernels.push_back(std::move(k));
      ++info.kernels[it->second].uses;
    }
  }
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
  count_instructions(info);
  info.payload_bytes = payload.bytes.size();
  info.payload_bytes_shared = encode_payload(info.program).size();
  info.payload_bytes_unshared = encode_payload(info.program, false).size();
  return info;
}

}  // namespace tessera::program
