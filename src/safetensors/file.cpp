#include "safetensors/file.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "base/byte_reader.h"
#include "base/checked_math.h"

namespace tessera::safetensors {
namespace {

using nlohmann::json;

constexpr uint64_t kMaxHeaderBytes = 100'000'000;
constexpr std::string_view kMetadata = "__metadata__";
constexpr size_t kMaxRank = 16;

struct Row {
  ElementType type;
  std::string_view name;
  size_t size;
};
constexpr std::array kRows = {
    Row{ElementType::kF64, "F64", 8},   Row{ElementType::kF32, "F32", 4}, Row{ElementType::kF16, "F16", 2},
    Row{ElementType::kBF16, "BF16", 2}, Row{ElementType::kI64, "I64", 8}, Row{ElementType::kI32, "I32", 4},
    Row{ElementType::kI16, "I16", 2},   Row{ElementType::kI8, "I8", 1},   Row{ElementType::kU64, "U64", 8},
    Row{ElementType::kU32, "U32", 4},   Row{ElementType::kU16, "U16", 2}, Row{ElementType::kU8, "U8", 1},
    Row{ElementType::kBool, "BOOL", 1},
};
const Row& row(ElementType type) { return kRows[static_cast<size_t>(type)]; }

std::optional<ElementType> parse_type(std::string_view name) {
  for (const Row& r : kRows)
    if (r.name == name) return r.type;
  return std::nullopt;
}

const json* member(const json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() ? nullptr : &*found;
}

// An array of whole numbers that are not negative.
std::optional<std::vector<int64_t>> sizes(const json* array) {
  if (!array || !array->is_array()) return std::nullopt;
  std::vector<int64_t> out;
  for (const json& item : *array) {
    if (!item.is_number_unsigned() || item.get<uint64_t>() > INT64_MAX) return std::nullopt;
    out.push_back(static_cast<int64_t>(item.get<uint64_t>()));
  }
  return out;
}

// The header's JSON; a name that occurs twice is an error, which JSON itself does not make it.
Result<json> parse_header(std::string_view text, const std::string& name) {
  std::set<std::string> names;
  std::optional<std::string> repeated;  // a name may be empty
  const auto on_event = [&](int depth, json::parse_event_t event, json& value) {
    if (event == json::parse_event_t::key && depth == 1 && !names.insert(value.get_ref<std::string&>()).second)
      repeated = value.get_ref<std::string&>();
    return true;
  };
  json header = json::parse(text.begin(), text.end(), on_event, false);
  if (header.is_discarded() || !header.is_object())
    return invalid_format("{}: offset 8: the header ({} bytes) is not a JSON object", name, text.size());
  if (repeated) return invalid_format("{}: two tensors are named \"{}\"", name, *repeated);
  return header;
}

Result<Tensor> read_tensor(const json& entry, std::span<const std::byte> data) {
  if (!entry.is_object()) return invalid_format("expected an object");
  const json* dtype = member(entry, "dtype");
  if (!dtype || !dtype->is_string()) return invalid_format("dtype: expected a string");
  const auto& type_name = dtype->get_ref<const std::string&>();
  const auto type = parse_type(type_name);
  if (!type) return not_implemented("dtype \"{}\" is not known", type_name);
  const auto shape = sizes(member(entry, "shape")), offsets = sizes(member(entry, "data_offsets"));
  if (!shape || shape->size() > kMaxRank) return invalid_format("shape: expected at most {} sizes", kMaxRank);
  if (!offsets || offsets->size() != 2) return invalid_format("data_offsets: expected two numbers");

  Tensor out{.type = *type, .shape = *shape};
  auto bytes = static_cast<int64_t>(size_of(*type));
  for (const int64_t size : *shape) {
    const auto next = checked_mul(bytes, size);
    if (!next) return invalid_format("{} is too large", describe(out));
    bytes = *next;
  }
  const int64_t begin = (*offsets)[0], end = (*offsets)[1];
  if (begin > end || end > static_cast<int64_t>(data.size()))
    return invalid_format("data_offsets [{}, {}] reach past the data ({} bytes)", begin, end, data.size());
  if (end - begin != bytes)
    return invalid_format("{} needs {} bytes, data_offsets [{}, {}] hold {}", describe(out), bytes, begin, end,
                          end - begin);
  out.bytes = data.subspan(static_cast<size_t>(begin), static_cast<size_t>(bytes));
  return out;
}

Status read_metadata(const json& object, const std::string& name, TextMap& out) {
  if (!object.is_object()) return invalid_format("{}: {}: expected an object", name, kMetadata);
  for (const auto& [key, value] : object.items()) {
    if (!value.is_string()) return invalid_format("{}: {}: \"{}\" is not a string", name, kMetadata, key);
    out.emplace(key, value.get_ref<const std::string&>());
  }
  return {};
}

// The format allows no holes and no overlaps: bytes that nobody names could hide anything.
Status check_cover(const TensorMap& tensors, std::span<const std::byte> data, const std::string& name) {
  std::vector<const TensorMap::value_type*> order;
  for (const auto& entry : tensors)
    if (!entry.second.bytes.empty()) order.push_back(&entry);
  std::sort(order.begin(), order.end(),
            [](const auto* a, const auto* b) { return a->second.bytes.data() < b->second.bytes.data(); });
  const std::byte* next = data.data();
  for (const auto* entry : order) {
    if (entry->second.bytes.data() != next)
      return invalid_format("{}: tensor \"{}\" begins at {}, expected {}: tensors leave no gap and do not overlap",
                            name, entry->first, entry->second.bytes.data() - data.data(), next - data.data());
    next += entry->second.bytes.size();
  }
  if (next != data.data() + data.size())
    return invalid_format("{}: {} bytes after the last tensor", name, data.data() + data.size() - next);
  return {};
}

}  // namespace

std::string_view name_of(ElementType type) { return row(type).name; }
size_t size_of(ElementType type) { return row(type).size; }

int64_t Tensor::n_elements() const { return static_cast<int64_t>(bytes.size() / size_of(type)); }

std::string describe(const Tensor& tensor) {
  std::string out = fmt::format("{} [", name_of(tensor.type));
  for (size_t i = 0; i < tensor.shape.size(); ++i) out += fmt::format("{}{}", i ? ", " : "", tensor.shape[i]);
  return out + "]";
}

Result<File> File::from_bytes(std::span<const std::byte> bytes, const std::string& name,
                              std::shared_ptr<const void> owner, const MappedFile* mapped) {
  ByteReader reader(bytes, name);
  const auto length = TRY(reader.read<uint64_t>("the header length"));
  if (length > kMaxHeaderBytes)
    return invalid_format("{}: offset 0: a header of {} bytes; expected at most {}: not a safetensors file?", name,
                          length, kMaxHeaderBytes);
  const auto text = TRY(reader.take(length, "the header"));
  const json header = TRY(parse_header({reinterpret_cast<const char*>(text.data()), text.size()}, name));
  File out;
  for (const auto& [key, entry] : header.items()) {
    if (key == kMetadata) {
      TRY(read_metadata(entry, name, out.metadata));
      continue;
    }
    auto tensor = read_tensor(entry, reader.rest());
    if (!tensor) return tensor.error().in(fmt::format("{}: tensor \"{}\"", name, key));
    tensor->owner = owner;
    tensor->mapped = mapped;
    out.tensors.emplace(key, *std::move(tensor));
  }
  TRY(check_cover(out.tensors, reader.rest(), name));
  return out;
}

Result<File> File::open(const std::string& path) {
  const auto mapped = TRY(MappedFile::open(path));
  return from_bytes(mapped->bytes(), path, mapped, mapped.get());
}

}  // namespace tessera::safetensors
