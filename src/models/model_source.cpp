#include "models/model_source.h"

namespace tessera::models {

std::optional<StoredTensor> GgufSource::find(std::string_view name) const {
  const gguf::TensorInfo* tensor = file_.find(name);
  if (!tensor) return std::nullopt;
  return StoredTensor{.dims = tensor->dims,
                      .format = tensor->format,
                      .bytes = file_.bytes(*tensor),
                      .owner = file_.keepalive(),
                      .mapped = file_.mapping(*tensor)};
}

std::vector<std::string> GgufSource::names() const {
  std::vector<std::string> out;
  for (const gguf::TensorInfo& tensor : file_.tensors()) out.push_back(tensor.name);
  return out;
}

}  // namespace tessera::models
