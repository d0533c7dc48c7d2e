#include "program/program.h"

#include "base/check.h"
#include "base/mapped_file.h"

namespace tessera::program {

Data Data::own(std::vector<std::byte> bytes) {
  auto owner = std::make_shared<const std::vector<std::byte>>(std::move(bytes));
  const std::span<const std::byte> view(*owner);
  return {view, std::move(owner)};
}

Data Data::borrow(std::shared_ptr<const MappedFile> file, uint64_t offset, uint64_t size) {
  CHECK(offset <= file->bytes().size() && size <= file->bytes().size() - offset);
  const MappedFile* mapped = file.get();
  return {mapped->bytes().subspan(offset, size), std::move(file), mapped};
}

Data Data::lazy(DataSource source) {
  Data out;
  out.source = std::make_shared<const DataSource>(std::move(source));
  return out;
}

TensorKind Program::kind_of(Tid tid) const {
  uint64_t end = n_constants;
  if (tid.idx < end) return TensorKind::kConstant;
  if (tid.idx < (end += n_inputs)) return TensorKind::kInput;
  if (tid.idx < (end += n_outputs)) return TensorKind::kOutput;
  if (tid.idx < (end += n_mutable)) return TensorKind::kMutable;
  return TensorKind::kTemp;
}

std::string_view Program::name_of(Tid tid) const {
  for (auto it = named_slots.rbegin(); it != named_slots.rend(); ++it)  // the last name of a slot counts
    if (it->slot.type == SlotType::kTensor && it->slot.idx == tid.idx) return it->name;
  return {};
}

const Data* Program::find_data(std::string_view key) const {
  const auto it = data.find(key);
  return it == data.end() ? nullptr : &it->second;
}

std::optional<int64_t> Program::int_constant(std::string_view name) const {
  const auto it = constant_methods.find(name);
  if (it == constant_methods.end() || it->second.empty()) return std::nullopt;
  const auto* value = std::get_if<int64_t>(&it->second.front());
  return value ? std::optional(*value) : std::nullopt;
}

Status materialize(Program& program) {
  for (auto& [key, data] : program.data) {
    if (!data.source) continue;
    std::vector<std::byte> bytes;
    bytes.reserve(data.source->size);
    TRY(data.source->produce([&](std::span<const std::byte> piece) -> Status {
      bytes.insert(bytes.end(), piece.begin(), piece.end());
      return {};
    }));
    CHECK(bytes.size() == data.source->size);
    data = Data::own(std::move(bytes));
  }
  return {};
}

}  // namespace tessera::program
