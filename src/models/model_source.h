// Where a model definition gets tensors and metadata: a GGUF file, or a checkpoint that is presented as if it were one.
// Names and keys are GGUF's throughout ("blk.3.attn_q.weight", "gemma4.block_count").
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gguf/file.h"
#include "gguf/metadata.h"
#include "quant/affine.h"
#include "quant/format.h"

namespace tessera::models {

// No published model comes near; keeps sums and products of layers far from overflow.
inline constexpr int64_t kMaxLayers = 4096;

// A tensor as it is stored: bytes of a format, or (then without format and bytes) codes and groups.
struct StoredTensor {
  std::vector<int64_t> dims;  // ggml's order: a (N, K) matrix has dims {K, N}
  const quant::Format* format = nullptr;
  std::span<const std::byte> bytes = {};
  std::shared_ptr<const void> owner = nullptr;
  const MappedFile* mapped = nullptr;
  std::shared_ptr<const quant::AffineMatrix> affine = nullptr;
};

class ModelSource {
 public:
  virtual ~ModelSource() = default;
  virtual const std::string& path() const = 0;
  virtual const gguf::Metadata& metadata() const = 0;
  virtual std::optional<StoredTensor> find(std::string_view name) const = 0;
  virtual std::vector<std::string> names() const = 0;  // of all tensors a model could ask for
};

class GgufSource final : public ModelSource {
 public:
  explicit GgufSource(const gguf::File& file) : file_(file) {}  // which must outlive this
  const std::string& path() const override { return file_.path(); }
  const gguf::Metadata& metadata() const override { return file_.metadata(); }
  std::optional<StoredTensor> find(std::string_view name) const override;
  std::vector<std::string> names() const override;

 private:
  const gguf::File& file_;
};

}  // namespace tessera::models
