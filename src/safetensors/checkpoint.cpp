#include "safetensors/checkpoint.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

namespace tessera::safetensors {
namespace {

using nlohmann::json;

constexpr const char* kSingle = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";

using WeightMap = std::map<std::string, std::vector<std::string>>;  // file name -> its tensors

Result<WeightMap> read_index(const std::string& path) {
  const auto file = TRY(MappedFile::open(path));
  const auto* begin = reinterpret_cast<const char*>(file->bytes().data());
  const json index = json::parse(begin, begin + file->bytes().size(), nullptr, false);
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object())
    return invalid_format("{}: expected a JSON object with \"weight_map\"", path);
  WeightMap out;
  for (const auto& [tensor, shard] : index["weight_map"].items()) {
    if (!shard.is_string()) return invalid_format("{}: weight_map: \"{}\" is not a file name", path, tensor);
    const auto& name = shard.get_ref<const std::string&>();
    if (name.empty() || name.find('/') != std::string::npos || name.front() == '.')
      return invalid_format("{}: weight_map: \"{}\" is in \"{}\", which is not a file of this folder", path, tensor,
                            name);
    out[name].push_back(tensor);
  }
  return out;
}

Status add(File shard, const std::string& path, Checkpoint& out) {
  for (auto& [name, tensor] : shard.tensors)
    if (!out.tensors.emplace(name, std::move(tensor)).second)
      return invalid_format("{}: tensor \"{}\" is in another shard as well", path, name);
  for (auto& [key, text] : shard.metadata) out.metadata[key] = std::move(text);
  return {};
}

}  // namespace

Result<Checkpoint> Checkpoint::open(const std::string& folder) {
  const std::filesystem::path root(folder);
  const std::string index = (root / kIndex).string(), single = (root / kSingle).string();
  Checkpoint out;
  std::error_code ignored;
  if (!std::filesystem::exists(index, ignored)) {
    if (!std::filesystem::exists(single, ignored))
      return make_error(ErrorCode::kNotFound, "{}: neither {} nor {} is there", folder, kSingle, kIndex);
    auto file = TRY(File::open(single));
    TRY(add(std::move(file), single, out));
    return out;
  }
  const WeightMap weights = TRY(read_index(index));
  for (const auto& [shard, tensors] : weights) {
    const std::string path = (root / shard).string();
    auto file = TRY(File::open(path));
    for (const std::string& tensor : tensors)
      if (!file.tensors.contains(tensor))
        return invalid_format("{}: tensor \"{}\" is not in {}, where the index has it", index, tensor, shard);
    TRY(add(std::move(file), path, out));
  }
  return out;
}

}  // namespace tessera::safetensors
