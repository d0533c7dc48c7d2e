#include "program/pte_loader.h"

#include <filesystem>
#include <map>
#include <optional>

#include "base/mapped_file.h"
#include "program/container.h"
#include "program/external.h"
#include "program/graph_codec.h"
#include "program/plan_reader.h"

namespace tessera::program {
namespace {

constexpr std::string_view kOwnPrefix = "tessera.";

// A file's bytes and who keeps them.
struct Source {
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> owner;
  const MappedFile* mapped = nullptr;

  Data data(std::span<const std::byte> part) const { return {part, owner, mapped}; }
};

Source source_of(std::shared_ptr<const MappedFile> file) {
  const MappedFile* mapped = file.get();
  return {mapped->bytes(), std::move(file), mapped};
}

Result<DataMap> named_data(const PteFile& file, const Source& source) {
  DataMap out;
  if (!file.table.named_data) return out;
  for (const auto& named : *file.table.named_data) {
    const auto segment = TRY(file.segments.at(named.segment_index, fmt::format("\"{}\"", named.key.view())));
    if (!out.emplace(named.key.str(), source.data(segment.bytes)).second) {
      return invalid_format("named data \"{}\" appears twice", named.key.view());
    }
  }
  return out;
}

// Adds the keys of one .ptd.
Status add_ptd(const std::string& path, DataMap& out) {
  const Source source = source_of(TRY(MappedFile::open(path)));
  const auto add = [&]() -> Status {
    const PtdFile file = TRY(PtdFile::open(source.bytes));
    for (const auto& named : file.table.named_data) {
      const auto segment = TRY(file.segments.at(named.segment_index, fmt::format("\"{}\"", named.key.view())));
      if (!out.emplace(named.key.str(), source.data(segment.bytes)).second) {
        return invalid_format("\"{}\" is also in another data file, or twice in this one", named.key.view());
      }
    }
    return {};
  };
  const Status status = add();
  if (!status) return status.error().in(path);
  return {};
}

// What each constant is called: of several names for a slot the last counts.
std::map<uint32_t, std::string_view> constant_names(const Program& program) {
  std::map<uint32_t, std::string_view> names;
  for (const NamedSlot& named : program.named_slots) {
    if (named.slot.type == SlotType::kTensor && named.slot.idx < program.n_constants)
      names[named.slot.idx] = named.name;
  }
  return names;
}

// What the program needs of all the data there is: its constants and Tessera's own blobs.
Status choose_data(const DataMap& ptd, const DataMap& inside, const std::string& name, Program& program) {
  DataMap external;
  if (const auto it = inside.find(kExternalKey); it != inside.end()) {
    auto opened = open_external(it->second.bytes, name);
    if (!opened) return opened.error().in(kExternalKey);
    external = *std::move(opened);
  }
  for (const auto& [id, constant] : constant_names(program)) {
    for (const DataMap* map : {&ptd, &inside, &static_cast<const DataMap&>(external)}) {
      const auto it = map->find(constant);
      if (it != map->end()) program.data.insert(*it);  // the first map that has it wins
    }
  }
  for (const auto& [key, data] : inside) {
    if (key.starts_with(kOwnPrefix) && key != kExternalKey) program.data.emplace(key, data);
  }
  return {};
}

// The name of the first constant without data.
std::optional<std::string_view> missing_constant(const Program& program) {
  for (const auto& [id, constant] : constant_names(program))
    if (!program.find_data(constant)) return constant;
  return std::nullopt;
}

// A program that was written without its weights finds them in the .ptd of its own name, if that is beside it.
Status add_neighbour(const std::string& path, const DataMap& inside, Program& program) {
  const auto missing = missing_constant(program);
  if (!missing) return {};
  const std::string neighbour = std::filesystem::path(path).replace_extension(".ptd").string();
  std::error_code error;
  if (!std::filesystem::exists(neighbour, error)) {
    return make_error(ErrorCode::kNotFound, "constant \"{}\" has no data in the program, and {} is not there", *missing,
                      neighbour);
  }
  DataMap ptd;
  TRY(add_ptd(neighbour, ptd));
  return choose_data(ptd, inside, path, program);
}

Result<Program> load(const Source& source, const std::string& name, const LoadOptions& options) {
  const PteFile file = TRY(PteFile::open(source.bytes));
  const pte::ExecutionPlan& plan = *TRY(choose_plan(file, options.method));
  TRY(check_plan(file, plan));
  const auto payload = TRY(delegate_payload(file, source.bytes, plan));

  Program program;
  program.method = plan.name.str();
  TRY(decode_payload(payload.bytes, payload.offset, program));
  TRY(read_arguments(plan, program.input_map.size(), program.inputs, program.outputs));
  program.constant_methods = TRY(read_constant_methods(file));

  DataMap ptd;
  for (const std::string& path : options.ptd_paths) TRY(add_ptd(path, ptd));
  if (!options.ptd_paths.empty() && ptd.empty()) return invalid_format("the data files given hold no keys");
  const DataMap inside = TRY(named_data(file, source));
  TRY(choose_data(ptd, inside, name, program));
  if (source.mapped && options.ptd_paths.empty()) TRY(add_neighbour(name, inside, program));
  TRY(verify(program));
  return program;
}

Result<Program> load_named(const Source& source, const std::string& name, const LoadOptions& options) {
  auto program = load(source, name, options);
  if (!program) return program.error().in(name);
  return program;
}

}  // namespace

Result<Program> load_pte(const std::string& path, const LoadOptions& options) {
  return load_named(source_of(TRY(MappedFile::open(path))), path, options);
}

Result<Program> load_pte(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, const std::string& name,
                         const LoadOptions& options) {
  return load_named({bytes, std::move(owner), nullptr}, name, options);
}

}  // namespace tessera::program
